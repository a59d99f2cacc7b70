//! The committed objects: that they are what the sources give, and that their types are ours.
