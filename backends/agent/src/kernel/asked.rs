//! Asking a program about one packet, by the kernel's test run.
//!
//! In: a loaded program and a packet. Out: whether it passes, the word that the program left, and the packet's mark. The
//! packet goes nowhere.

use super::KernelError;
use aya::programs::{CgroupSkb, SchedClassifier, TestRun, TestRunOptions};

/// A packet, and what the program is told of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// `cb`: who sends, where the IP header stands, 0, and whether the mark still counts.
    pub(super) control: [u32; 4],
    /// The mark that it has.
    pub(super) mark: u32,
    /// The interface's index; 0 for whichever the kernel takes, which is lo.
    pub(super) interface: u32,
    /// What the link says.
    pub(super) ethertype: u16,
    /// From the IP header on.
    pub(super) packet: &'a [u8],
}

/// The bytes of an Ethernet header, which every test run begins with.
pub(super) const ETHERNET: usize = 14;

/// The kernel's `struct __sk_buff`: its size, and where `mark`, `ifindex` and `cb` stand.
const CONTEXT: usize = 192;
const MARK: usize = 8;
const INTERFACE: usize = 40;
const CONTROL: usize = 48;

/// Results of programs that let a packet through.
const CGROUP_PASS: u32 = 1;
const TC_NEXT: u32 = u32::MAX;

/// What a program did with a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    /// Whether it passes.
    pub(super) passes: bool,
    /// `cb[2]`.
    pub(super) word: u32,
    /// Its mark.
    pub(super) mark: u32,
}

impl Asked<'_> {
    pub(super) fn of_cgroup(&self, program: &CgroupSkb) -> Result<Done, KernelError> {
        self.of(program, CGROUP_PASS)
    }

    pub(super) fn of_tc(&self, program: &SchedClassifier) -> Result<Done, KernelError> {
        self.of(program, TC_NEXT)
    }

    /// What was done; the result `pass` lets it through.
    fn of<P>(&self, program: &P, pass: u32) -> Result<Done, KernelError>
    where
        P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = aya::TestRunResult>,
    {
        let mut frame = vec![0; ETHERNET - 2];
        frame.extend(self.ethertype.to_be_bytes());
        frame.extend(self.packet);
        let mut context = vec![0; MARK];
        context.extend(self.mark.to_ne_bytes());
        context.resize(INTERFACE, 0);
        context.extend(self.interface.to_ne_bytes());
        context.resize(CONTROL, 0);
        context.extend(self.control.iter().flat_map(|word| word.to_ne_bytes()));
        context.resize(CONTEXT, 0);
        let mut after = vec![0; CONTEXT];
        let options = TestRunOptions {
            data_in: Some(&frame),
            ctx_in: Some(&context),
            ctx_out: Some(&mut after),
            ..TestRunOptions::default()
        };
        let result = program.test_run(options).map_err(|source| KernelError::program("policy", source))?;
        let word_at = |at: usize| {
            let word = after.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied();
            u32::from_ne_bytes(word.unwrap_or_default())
        };
        Ok(Done { passes: result.return_value == pass, word: word_at(CONTROL + 8), mark: word_at(MARK) })
    }
}
