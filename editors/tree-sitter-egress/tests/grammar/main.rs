//! The grammar for tree-sitter: its own corpus, the files that the compiler accepts, its queries, and that what is
//! committed is what the grammar generates.

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod generated;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod queries;
#[cfg(test)]
mod support;
