//! Everything that can be wrong with the text of one file.
//!
//! In: what the lexer, the grammar and the value readers refused, with spans. Out: one enum
//! whose message, code, label and help are shown to people. Holds no source text but
//! the words it quotes: the caller attaches the file where errors are rendered.

use std::fmt;

use miette::{Diagnostic, LabeledSpan};

use crate::span::Span;
use crate::value::Fault;

/// A syntax error. `Display` is its message; `Diagnostic` gives the code, the labels and
/// the help.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SyntaxError {
    /// Something else stands where `what` belongs, or nothing does.
    #[error("expected {what}{}", found_text(.found.as_deref()))]
    Expected {
        /// What belongs there, with its article.
        what: &'static str,
        /// The text that stands there; `None` where something is missing.
        found: Option<String>,
        /// The text, or the place where the missing part belongs.
        span: Span,
        /// What to do.
        help: &'static str,
    },
    /// A word that starts nothing here.
    #[error("unknown word `{found}` in {place}")]
    Keyword {
        /// The word.
        found: String,
        /// Where it stands, as "a policy".
        place: &'static str,
        /// The keyword it is close to.
        meant: Option<&'static str>,
        /// What may stand there, as a sentence.
        help: &'static str,
        /// The word.
        span: Span,
    },
    /// A brace or parenthesis without its partner.
    #[error("this {what} is not closed: expected `{closer}`")]
    Unclosed {
        /// What was opened.
        what: &'static str,
        /// The character that is missing.
        closer: char,
        /// The place where it belongs.
        span: Span,
        /// The opening character.
        open: Span,
    },
    /// Characters that no token starts with.
    #[error("unexpected `{found}`")]
    Character {
        /// The characters.
        found: String,
        /// The characters.
        span: Span,
    },
    /// A comment in the style of C.
    #[error("`//` does not start a comment")]
    SlashComment {
        /// From the slashes to the end of the line.
        span: Span,
    },
    /// A string without its closing quote.
    #[error("this string is not closed")]
    Unterminated {
        /// From the quote to the end of the line.
        span: Span,
    },
    /// A backslash that escapes nothing.
    #[error("unknown escape `{text}` in a string")]
    Escape {
        /// The escape.
        text: String,
        /// The escape.
        span: Span,
    },
    /// A control character inside a string.
    #[error("control character {} in a string", .found.escape_unicode())]
    Control {
        /// The character.
        found: char,
        /// The character.
        span: Span,
    },
    /// A name that does not look like one.
    #[error("`{text}` is not a name")]
    Name {
        /// As written.
        text: String,
        /// The name it would be after the usual corrections.
        meant: Option<String>,
        /// As written.
        span: Span,
    },
    /// A declaration whose name the language needs for itself.
    #[error("`{text}` cannot name {what}: it is a word of the language there")]
    Reserved {
        /// The name.
        text: String,
        /// What it would name.
        what: &'static str,
        /// The name.
        span: Span,
    },
    /// A part that may be written once only.
    #[error("{what} is written twice")]
    Repeated {
        /// The part, in back-ticks.
        what: &'static str,
        /// The second one.
        span: Span,
        /// The first one.
        first: Span,
    },
    /// A block without a part that it needs.
    #[error("this {block} has no {what}")]
    Missing {
        /// The part, in back-ticks.
        what: &'static str,
        /// Which kind of block.
        block: &'static str,
        /// What to do.
        help: &'static str,
        /// The block's name.
        span: Span,
    },
    /// An `allow` in a guardrail.
    #[error("a guardrail only denies")]
    AllowInGuardrail {
        /// The word `allow`.
        span: Span,
    },
    /// A gateway on a `deny`.
    #[error("a `deny` rule has no gateway")]
    ViaOnDeny {
        /// The clause.
        span: Span,
    },
    /// `a except b except c`
    #[error("a second `except` needs parentheses")]
    SecondExcept {
        /// The word.
        span: Span,
    },
    /// A DNS name where an address or the name of a set belongs.
    #[error("`{text}` is neither a name nor an address")]
    BareHost {
        /// As written.
        text: String,
        /// As written.
        span: Span,
    },
    /// An address where workloads belong.
    #[error("`{text}` is not a set of workloads")]
    BareAddress {
        /// As written.
        text: String,
        /// As written.
        span: Span,
    },
    /// A wrong label selector.
    #[error("{problem}")]
    Selector {
        /// What is wrong.
        problem: SelectorProblem,
        /// The smallest wrong part.
        span: Span,
    },
    /// A name that Kubernetes would refuse.
    #[error("`{text}` is not the name of a {what}")]
    KubernetesName {
        /// As written.
        text: String,
        /// `namespace` or `service account`.
        what: &'static str,
        /// Kubernetes' rule.
        help: &'static str,
        /// As written.
        span: Span,
    },
    /// A value that cannot be.
    #[error("{fault}")]
    Value {
        /// What is wrong.
        fault: Fault,
        /// The value.
        span: Span,
    },
    /// Parentheses nested beyond `MAX_NESTING`.
    #[error("parentheses nest deeper than {} levels", crate::MAX_NESTING)]
    Nesting {
        /// The first parenthesis too many.
        span: Span,
    },
    /// Bytes that are not UTF-8.
    #[error("the file is not UTF-8: byte {offset} (line {line}) starts no character")]
    Encoding {
        /// Offset of the first wrong byte.
        offset: usize,
        /// Its line, counted from 1.
        line: usize,
    },
    /// A file beyond the size limit.
    #[error("the file is {bytes} bytes long; at most {} are read", crate::MAX_BYTES)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The formatter's output did not read back as the same program: a defect of the
    /// formatter, found before anything was written.
    #[error("formatting would have changed the program, so it was not done")]
    Unfaithful {
        /// The declaration that would have changed.
        span: Span,
    },
}

/// What is wrong with a label selector.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SelectorProblem {
    /// An operator that Kubernetes' selectors do not have.
    #[error("unknown operator `{0}` in a label selector")]
    Operator(String),
    /// A key that Kubernetes would refuse.
    #[error("`{0}` is not a label key")]
    Key(String),
    /// A value that Kubernetes would refuse.
    #[error("`{0}` is not a label value")]
    Value(String),
    /// `( )` with nothing in it.
    #[error("this label selector is empty")]
    Empty,
    /// `a in ()`
    #[error("this list of label values is empty")]
    NoValues,
    /// `!a=b`
    #[error("`!` before a key stands alone: the label must be absent")]
    NotWithOperator,
}

impl SelectorProblem {
    const fn help(&self) -> &'static str {
        match self {
            Self::Operator(_) => {
                "operators are `a=b`, `a==b`, `a!=b`, `a in (b, c)`, `a notin (b)`, `a` and `!a`, joined by `,`"
            }
            Self::Key(_) => {
                "a key is an optional DNS subdomain and `/`, then at most 63 letters, digits, `-`, `_`, `.`, \
                 beginning and ending with a letter or digit"
            }
            Self::Value(_) => {
                "a value is at most 63 letters, digits, `-`, `_`, `.`, beginning and ending with a letter or digit"
            }
            Self::Empty => "leave the parentheses out to select everything",
            Self::NoValues => "write the values between the parentheses, like `tier in (etl, ml)`",
            Self::NotWithOperator => "write `a!=b` for a label that differs, `!a` for one that is absent",
        }
    }
}

fn found_text(found: Option<&str>) -> String {
    found.map(|found| format!(", found `{found}`")).unwrap_or_default()
}

impl SyntaxError {
    /// The text to blame: the smallest wrong part, or the empty place where something is
    /// missing. Empty at the start of the file for errors about the file as a whole.
    #[must_use]
    pub const fn span(&self) -> Span {
        match self {
            Self::Expected { span, .. }
            | Self::Keyword { span, .. }
            | Self::Unclosed { span, .. }
            | Self::Character { span, .. }
            | Self::SlashComment { span }
            | Self::Unterminated { span }
            | Self::Escape { span, .. }
            | Self::Control { span, .. }
            | Self::Name { span, .. }
            | Self::Reserved { span, .. }
            | Self::Repeated { span, .. }
            | Self::Missing { span, .. }
            | Self::AllowInGuardrail { span }
            | Self::ViaOnDeny { span }
            | Self::SecondExcept { span }
            | Self::BareHost { span, .. }
            | Self::BareAddress { span, .. }
            | Self::Selector { span, .. }
            | Self::KubernetesName { span, .. }
            | Self::Value { span, .. }
            | Self::Nesting { span }
            | Self::Unfaithful { span } => *span,
            Self::Encoding { .. } | Self::TooLarge { .. } => Span::empty(0),
        }
    }

    /// The stable code, as `egress::syntax::expected`.
    #[must_use]
    pub const fn stable_code(&self) -> &'static str {
        match self {
            Self::Expected { .. } => "egress::syntax::expected",
            Self::Keyword { .. } => "egress::syntax::keyword",
            Self::Unclosed { .. } => "egress::syntax::unclosed",
            Self::Character { .. } => "egress::syntax::character",
            Self::SlashComment { .. } => "egress::syntax::comment",
            Self::Unterminated { .. } | Self::Escape { .. } | Self::Control { .. } => "egress::syntax::string",
            Self::Name { .. } => "egress::syntax::name",
            Self::Reserved { .. } => "egress::syntax::reserved",
            Self::Repeated { .. } => "egress::syntax::repeated",
            Self::Missing { .. } => "egress::syntax::missing",
            Self::AllowInGuardrail { .. } | Self::ViaOnDeny { .. } => "egress::syntax::rule",
            Self::SecondExcept { .. } => "egress::syntax::except",
            Self::BareHost { .. } => "egress::syntax::bare-host",
            Self::BareAddress { .. } => "egress::syntax::bare-address",
            Self::Selector { .. } => "egress::syntax::selector",
            Self::KubernetesName { .. } => "egress::syntax::kubernetes-name",
            Self::Value { fault, .. } => fault.code(),
            Self::Nesting { .. } => "egress::syntax::nesting",
            Self::Encoding { .. } => "egress::syntax::encoding",
            Self::TooLarge { .. } => "egress::syntax::too-large",
            Self::Unfaithful { .. } => "egress::syntax::unfaithful",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help_text(&self) -> String {
        match self {
            Self::Keyword { meant: Some(meant), .. } => format!("did you mean `{meant}`?"),
            Self::Expected { help, .. }
            | Self::Keyword { help, .. }
            | Self::Missing { help, .. }
            | Self::KubernetesName { help, .. } => (*help).to_owned(),
            Self::Unclosed { closer, .. } => format!("write `{closer}` here"),
            Self::Character { found, .. } if found.starts_with(['\'', '“', '”', '‘', '’']) => {
                "strings stand in straight double quotes: \"…\"".to_owned()
            }
            Self::Character { found, .. } if found.starts_with(';') => {
                "nothing ends a rule or declaration: remove it".to_owned()
            }
            Self::Character { .. } => "remove it".to_owned(),
            Self::SlashComment { .. } => "comments start with `#`".to_owned(),
            Self::Unterminated { .. } => {
                "write the closing `\"` on the same line; a line break inside is `\\n`".to_owned()
            }
            Self::Escape { .. } => {
                r#"escapes are `\"`, `\\`, `\n` and `\u{…}` with a hexadecimal code point"#.to_owned()
            }
            Self::Control { found, .. } => format!("write it as `\\u{{{:x}}}`", u32::from(*found)),
            Self::Name { meant: Some(meant), .. } => format!("did you mean `{meant}`?"),
            Self::Name { .. } => "names start with a letter `a`–`z` and go on with letters, digits and `-`".to_owned(),
            Self::Reserved { .. } => "choose another name".to_owned(),
            Self::Repeated { .. } => "keep one of them".to_owned(),
            Self::AllowInGuardrail { .. } => "move the rule to a policy, which governs its workloads".to_owned(),
            Self::ViaOnDeny { .. } => "remove the `via`: what is denied leaves nowhere".to_owned(),
            Self::SecondExcept { .. } => "write `a except b, c`, or `(a except b) except c`".to_owned(),
            Self::BareHost { text, .. } => format!("write `host {text}`"),
            Self::BareAddress { text, .. } => format!("write `address {text}`"),
            Self::Selector { problem, .. } => problem.help().to_owned(),
            Self::Value { fault, .. } => fault.help().into_owned(),
            Self::Nesting { .. } => "give the inner sets names of their own".to_owned(),
            Self::Encoding { .. } => "save the file as UTF-8".to_owned(),
            Self::TooLarge { .. } => "split the file, or move long address lists to a `list \"FILE\"`".to_owned(),
            Self::Unfaithful { .. } => "please report this with the file; the file is unchanged".to_owned(),
        }
    }

    /// What to write instead, where that can be known: the text to replace, and its replacement. The likeliest first.
    #[must_use]
    pub fn replacements(&self) -> Vec<(Span, String)> {
        match self {
            Self::Keyword { meant: Some(meant), span, .. } => vec![(*span, (*meant).to_owned())],
            Self::Name { meant: Some(meant), span, .. } => vec![(*span, meant.clone())],
            Self::Unclosed { closer, span, .. } => vec![(*span, closer.to_string())],
            Self::SlashComment { span } => vec![(*span, "#".to_owned())],
            Self::Character { found, span } if found == ";" => vec![(*span, String::new())],
            Self::Control { found, span } => vec![(*span, format!("\\u{{{:x}}}", u32::from(*found)))],
            Self::BareHost { text, span } => vec![(*span, format!("host {text}"))],
            Self::BareAddress { text, span } => vec![(*span, format!("address {text}"))],
            Self::Value { fault, span } => {
                let at = |(length, text): (Option<usize>, String)| {
                    let end = length.and_then(|length| u32::try_from(length).ok()).map(|length| span.start + length);
                    (Span::new(span.start, end.unwrap_or(span.end).min(span.end)), text)
                };
                fault.replacements().into_iter().map(at).collect()
            }
            _ => Vec::new(),
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Expected { found: None, .. } | Self::Unclosed { .. } => "it belongs here",
            Self::Repeated { .. } => "second one",
            Self::Unfaithful { .. } => "this declaration",
            _ => "here",
        }
    }
}

impl Diagnostic for SyntaxError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.stable_code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.help_text()))
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let second = match self {
            Self::Unclosed { open, .. } => Some((*open, "opened here")),
            Self::Repeated { first, .. } => Some((*first, "first one")),
            Self::Encoding { .. } | Self::TooLarge { .. } => return None,
            _ => None,
        };
        let main = LabeledSpan::new_primary_with_span(Some(self.label().to_owned()), self.span());
        let second = second.map(|(span, label)| LabeledSpan::new_with_span(Some(label.to_owned()), span));
        Some(Box::new(std::iter::once(main).chain(second)))
    }
}
