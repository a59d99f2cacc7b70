//! Tree to Program: names, lists, inventory, lowering, findings.
