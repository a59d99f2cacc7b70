//! Learning names from DNS answers: what an answer may teach, what is known, and how the kernel comes to know it.
//!
//! In: a policy's names ([`egress_snapshot::Names`]), questions and answers as they were on the wire, the time. Out:
//! elements of the kernel's sets, by way of a [`Sink`]. The order in which the files are used: [`message`] reads what is on
//! the wire, [`Pending`] says whether it was asked for, [`Policy`] what it may teach and whom, [`Memory`] what is known for
//! how long, [`nft`] speaks to the kernel; [`Learner`] is all of them together.
//!
//! Never: asking the clock (the time is an argument), believing more than the policy's own words allow, or keeping the
//! kernel from forgetting by itself: every element has a timeout.

mod counts;
pub mod ebpf;
mod learner;
mod memory;
pub mod message;
mod netlink;
pub mod nft;
mod pending;
mod policy;

pub use counts::{Counts, Reason};
pub use ebpf::Programs;
pub use learner::{Learner, Taught};
pub use memory::{Element, Known, Limits, Memory};
pub use nft::Nftables;
pub use pending::{Asked, Pending, Transport};
pub use policy::{Policy, PolicyError, RebindOk};

use std::io;
use std::net::IpAddr;

/// Milliseconds since some instant that stays the same.
pub type Time = u64;

/// What the kernel is to know: this client may send to this address by this pattern, for so long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The host pattern.
    pub host: String,
    /// Who may send.
    pub client: IpAddr,
    /// Where to; of the client's family.
    pub to: IpAddr,
    /// For how long, in milliseconds.
    pub lasts: u64,
    /// Whether the kernel may have it already: its time is then set anew.
    pub again: bool,
}

/// What the kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    /// Who may send.
    pub client: IpAddr,
    /// Where to.
    pub to: IpAddr,
    /// How long it is still there, in milliseconds.
    pub remains: u64,
    /// Packets that it let pass, if it counts them.
    pub packets: Option<u64>,
}

/// How one [`Put`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The kernel has it.
    Done,
    /// The kernel's rules have no such pattern.
    NoSet,
    /// The set takes no more.
    Full,
}

/// Where what was learned goes: the one seam between learning and a kind of kernel side.
pub trait Sink {
    /// Tells the kernel; when this returns, packets are judged by it. One answer for each.
    ///
    /// # Errors
    /// The kernel could not be asked, or refused in a way that is none of [`Answer`]'s. Then nothing is known to be there.
    fn put(&mut self, all: &[Put]) -> io::Result<Vec<Answer>>;

    /// Takes elements away; one that is not there is no error.
    ///
    /// # Errors
    /// As of [`Sink::put`].
    fn remove(&mut self, all: &[Put]) -> io::Result<()>;

    /// What the kernel knows by a pattern in one family, at most so many.
    ///
    /// # Errors
    /// As of [`Sink::put`]; a pattern that the kernel has not knows nothing.
    fn list(&mut self, host: &str, v6: bool, most: usize) -> io::Result<Vec<Present>>;

    /// Removes what has ended, where the kernel does not do so by itself. May be called often.
    ///
    /// # Errors
    /// As of [`Sink::put`].
    fn tidy(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// One element, as it is now.
    ///
    /// # Errors
    /// As of [`Sink::put`].
    fn look(&mut self, host: &str, client: IpAddr, to: IpAddr) -> io::Result<Option<Present>>;
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn put(&mut self, all: &[Put]) -> io::Result<Vec<Answer>> {
        (**self).put(all)
    }

    fn remove(&mut self, all: &[Put]) -> io::Result<()> {
        (**self).remove(all)
    }

    fn list(&mut self, host: &str, v6: bool, most: usize) -> io::Result<Vec<Present>> {
        (**self).list(host, v6, most)
    }

    fn tidy(&mut self) -> io::Result<()> {
        (**self).tidy()
    }

    fn look(&mut self, host: &str, client: IpAddr, to: IpAddr) -> io::Result<Option<Present>> {
        (**self).look(host, client, to)
    }
}
