//! What can be wrong with names.

use crate::Kind;
use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::source::Place;

/// A wrong or useless name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Nothing of this kind has the name.
    #[error("there {} named `{name}`", none(*.kind))]
    Unknown {
        /// What the name must stand for.
        kind: Kind,
        /// The name.
        name: String,
        /// Where it is used.
        place: Place,
        /// A declared name of this kind that is close to it.
        meant: Option<String>,
        /// What else has exactly this name.
        elsewhere: Option<(Kind, Place)>,
    },
    /// Two declarations of one kind with one name.
    #[error("{} `{name}` is declared {} times", noun(*.kind), .others.len() + 1)]
    Duplicate {
        /// Their kind.
        kind: Kind,
        /// Their name.
        name: String,
        /// The first by place.
        first: Place,
        /// The others.
        others: Vec<Place>,
    },
    /// More than one cluster.
    #[error("{} clusters are declared, but a unit describes one", .places.len())]
    Clusters {
        /// Their names.
        places: Vec<Place>,
    },
    /// A set that is made of itself.
    #[error("{} `{name}` is made of itself: `{}`", noun(*.kind), path(name, uses))]
    Cycle {
        /// The kind of all sets of the cycle.
        kind: Kind,
        /// The first set.
        name: String,
        /// Its name.
        place: Place,
        /// The sets used from one to the next, with the place of the use; the last is the first set again.
        uses: Vec<(String, Place)>,
    },
    /// A declaration that nothing needs.
    #[error("{} `{name}` is never used", noun(*.kind))]
    Unused {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its name where it is declared.
        place: Place,
        /// A set that uses it and is itself not used.
        user: Option<String>,
    },
}

/// How a kind reads before a name.
pub(crate) const fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "cluster",
        Kind::Workloads => "workloads",
        Kind::Destinations => "destinations",
        Kind::Ports => "ports",
        Kind::Gateway => "gateway",
        Kind::Block => "policy or guardrail",
        Kind::Control => "control",
    }
}

const fn none(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "is no cluster",
        Kind::Workloads => "are no workloads",
        Kind::Destinations => "are no destinations",
        Kind::Ports => "are no ports",
        Kind::Gateway => "is no gateway",
        Kind::Block => "is no policy or guardrail",
        Kind::Control => "is no control",
    }
}

const fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "the cluster",
        Kind::Workloads => "a set of workloads",
        Kind::Destinations => "a set of destinations",
        Kind::Ports => "a set of ports",
        Kind::Gateway => "a gateway",
        Kind::Block => "a policy or guardrail",
        Kind::Control => "a control",
    }
}

/// How many steps of a cycle are shown; the last one always is.
const MOST_STEPS: usize = 12;

fn path(name: &str, uses: &[(String, Place)]) -> String {
    let names = std::iter::once(name).chain(uses.iter().map(|(name, _)| name.as_str()));
    if uses.len() <= MOST_STEPS {
        return names.collect::<Vec<_>>().join(" → ");
    }
    let shown: Vec<&str> = names.take(MOST_STEPS).collect();
    format!("{} → … {} more … → {name}", shown.join(" → "), uses.len() - MOST_STEPS)
}

impl NameError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "egress::name::unknown",
            Self::Duplicate { .. } | Self::Clusters { .. } => "egress::name::duplicate",
            Self::Cycle { .. } => "egress::name::cycle",
            Self::Unused { .. } => "egress::name::unused",
        }
    }

    /// Unused names are warnings, all others errors.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Unused { .. } => Severity::Warning,
            Self::Unknown { .. } | Self::Duplicate { .. } | Self::Clusters { .. } | Self::Cycle { .. } => {
                Severity::Error
            }
        }
    }

    fn help(&self) -> String {
        match self {
            Self::Unknown { meant: Some(meant), .. } => format!("did you mean `{meant}`?"),
            Self::Unknown { kind, name, .. } => declare(*kind, name),
            Self::Duplicate { kind: Kind::Block, .. } => {
                "policies and guardrails share their names, across all files: rename one".to_owned()
            }
            Self::Duplicate { kind: Kind::Control, .. } => "put the assertions of a control together".to_owned(),
            Self::Duplicate { .. } => "names hold across all files of a unit: rename or remove one".to_owned(),
            Self::Clusters { .. } => "compile each cluster's files by themselves".to_owned(),
            Self::Cycle { .. } => "take one of these uses out".to_owned(),
            Self::Unused { user: Some(user), .. } => format!("only `{user}` uses it, which is not used either"),
            Self::Unused { .. } => "remove it, or use it".to_owned(),
        }
    }

    fn labels(&self) -> Vec<Label> {
        match self {
            Self::Unknown { place, elsewhere, kind, .. } => {
                let other = |(kind, place): (Kind, Place)| Label::context(place, format!("this is {}", article(kind)));
                let own = Label::primary(*place, format!("{} must stand here", article(*kind)));
                std::iter::once(own).chain(elsewhere.map(other)).collect()
            }
            Self::Duplicate { first, others, .. } => {
                let again = others.iter().enumerate().map(|(n, place)| match n {
                    0 => Label::primary(*place, "declared again"),
                    _ => Label::context(*place, "and again"),
                });
                again.chain([Label::context(*first, "first declared here")]).collect()
            }
            Self::Clusters { places } => {
                let label = |(n, place): (usize, &Place)| match n {
                    0 => Label::context(*place, "one cluster"),
                    1 => Label::primary(*place, "another cluster"),
                    _ => Label::context(*place, "another cluster"),
                };
                places.iter().enumerate().map(label).collect()
            }
            Self::Cycle { place, name, uses, .. } => {
                let users = std::iter::once(name).chain(uses.iter().map(|(name, _)| name));
                let step = |(user, (used, place)): (&String, &(String, Place))| {
                    Label::context(*place, format!("`{user}` uses `{used}`"))
                };
                let steps = users.zip(uses).map(step).take(MOST_STEPS);
                std::iter::once(Label::primary(*place, "")).chain(steps).collect()
            }
            Self::Unused { place, .. } => vec![Label::primary(*place, "declared here")],
        }
    }
}

fn declare(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Workloads => format!("declare it: `workloads {name} = …`"),
        Kind::Destinations => format!("declare it: `destinations {name} = …`; a DNS name is written `host NAME`"),
        Kind::Ports => format!("declare it: `ports {name} = …`"),
        Kind::Gateway => format!("declare it: `gateway {name} {{ … }}`"),
        Kind::Cluster | Kind::Block | Kind::Control => "declare it".to_owned(),
    }
}

impl From<NameError> for Diagnostic {
    fn from(error: NameError) -> Self {
        let finding = Self::new(error.code(), error.severity(), error.to_string());
        let finding = finding.labels(error.labels()).help(error.help());
        match error {
            NameError::Unknown { meant: Some(meant), place, .. } => finding.fix(place, meant),
            _ => finding,
        }
    }
}
