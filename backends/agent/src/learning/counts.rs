//! What became of what was seen, by reason.

use std::collections::BTreeMap;

/// Why something was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`words` says what each is")]
pub enum Reason {
    Queries,
    Answers,
    Learned,
    Renewed,
    Extended,
    Expired,
    Evicted,
    Restored,
    Refilled,
    TooManyQueries,
    NotAMessage,
    NoQuestion,
    NotAnAnswer,
    OtherId,
    OtherQuestion,
    NotAsked,
    FromElsewhere,
    Forged,
    Failed,
    Truncated,
    ChainTooLong,
    NoAddress,
    NotAName,
    UnknownClient,
    NoPattern,
    Inside,
    Private,
    NotUnicast,
    OwnAddress,
    NoSet,
    Full,
    KernelRefused,
    NoResolver,
    TooManyConnections,
    Unanswered,
    Fragment,
    StreamLost,
    PacketsLost,
}

impl Reason {
    /// In words, as `status` and the log have it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Queries => "queries",
            Self::Answers => "answers believed",
            Self::Learned => "addresses learned",
            Self::Renewed => "addresses learned again",
            Self::Extended => "kept longer because they are in use",
            Self::Expired => "expired",
            Self::Evicted => "forgotten for want of room",
            Self::Restored => "found in the kernel",
            Self::Refilled => "put back after a reload",
            Self::TooManyQueries => "queries beyond the bound",
            Self::NotAMessage => "no DNS message",
            Self::NoQuestion => "without exactly one question",
            Self::NotAnAnswer => "no answer to a query",
            Self::OtherId => "answers with another id",
            Self::OtherQuestion => "answers to another question",
            Self::NotAsked => "answers that nobody waits for",
            Self::FromElsewhere => "answers from elsewhere",
            Self::Forged => "answers that a workload itself has sent",
            Self::Failed => "answers that say an error",
            Self::Truncated => "truncated answers",
            Self::ChainTooLong => "chains of aliases that are too long or have a loop",
            Self::NoAddress => "answers without an address",
            Self::NotAName => "names that no pattern can match",
            Self::UnknownClient => "from clients that the policy does not know",
            Self::NoPattern => "names that no pattern of the client matches",
            Self::Inside => "addresses inside the cluster, refused",
            Self::Private => "private addresses, refused",
            Self::NotUnicast => "addresses that are no place in the network, refused",
            Self::OwnAddress => "addresses of this node, refused",
            Self::NoSet => "patterns that the kernel's rules do not have",
            Self::Full => "the kernel's set is full",
            Self::KernelRefused => "refused by the kernel",
            Self::NoResolver => "queries to an address that is no resolver",
            Self::TooManyConnections => "connections beyond the bound",
            Self::Unanswered => "queries that no resolver answered",
            Self::Fragment => "fragments, which are not read",
            Self::StreamLost => "connections of which a part was not seen",
            Self::PacketsLost => "packets that were not looked at",
        }
    }
}

/// How often each was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Reason, u64>);

impl Counts {
    /// Once more.
    pub fn add(&mut self, reason: Reason) {
        self.add_many(reason, 1);
    }

    /// So many more.
    pub fn add_many(&mut self, reason: Reason, count: u64) {
        if count > 0 {
            let place = self.0.entry(reason).or_default();
            *place = place.saturating_add(count);
        }
    }

    /// How often.
    #[must_use]
    pub fn get(&self, reason: Reason) -> u64 {
        self.0.get(&reason).copied().unwrap_or(0)
    }

    /// All that were counted at all.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }
}
