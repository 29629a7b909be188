//! What is measured.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// One thing that a backup tool is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    Start,
    First,
    Unchanged,
    Day,
    Find,
    One,
    Restore,
    Verify,
    Collect,
    Days,
}

/// What a step reads, and so what is brought into memory before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Nothing,
    Tree,
    Vault,
}

impl Step {
    /// In the order in which they are done.
    pub(crate) const ALL: [Self; 10] = [
        Self::Start,
        Self::First,
        Self::Unchanged,
        Self::Day,
        Self::Find,
        Self::One,
        Self::Restore,
        Self::Verify,
        Self::Collect,
        Self::Days,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::First => "first",
            Self::Unchanged => "unchanged",
            Self::Day => "day",
            Self::Find => "find",
            Self::One => "one",
            Self::Restore => "restore",
            Self::Verify => "verify",
            Self::Collect => "collect",
            Self::Days => "days",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Start => "program start",
            Self::First => "first backup",
            Self::Unchanged => "nothing changed",
            Self::Day => "one day's changes",
            Self::Find => "find a name",
            Self::One => "one document",
            Self::Restore => "full restore",
            Self::Verify => "verify every byte",
            Self::Collect => "forget all but one, collect",
            Self::Days => "daily backups",
        }
    }

    /// What the bytes of a run of this step are.
    pub(crate) fn bytes_are(self) -> &'static str {
        match self {
            Self::First | Self::Days => "vault",
            Self::Collect => "freed",
            _ => "added",
        }
    }

    pub(crate) fn reads(self) -> Reads {
        match self {
            Self::Start => Reads::Nothing,
            Self::First | Self::Unchanged | Self::Day | Self::Days => Reads::Tree,
            Self::Find | Self::One | Self::Restore | Self::Verify | Self::Collect => Reads::Vault,
        }
    }

    /// Whether it can be done again as if it had not been done.
    pub(crate) fn is_repeatable(self) -> bool {
        !matches!(self, Self::Unchanged | Self::Day | Self::Collect | Self::Days)
    }

    /// Whether it needs the command that changes the tree by a day.
    pub(crate) fn needs_days(self) -> bool {
        matches!(self, Self::Day | Self::Days)
    }

    /// The steps of these names, in order, with the first backup, without which there is nothing to look at.
    pub(crate) fn named(names: &[String]) -> Result<Vec<Self>, Failure> {
        if let Some(unknown) = names.iter().find(|name| !Self::ALL.iter().any(|step| step.name() == name.as_str())) {
            let all = Self::ALL.map(Self::name).join(", ");
            return Err(Failure::Usage(format!("no step `{unknown}`; there are {all}")));
        }
        let wanted = |step: &Self| *step == Self::First || names.iter().any(|name| name == step.name());
        Ok(Self::ALL.into_iter().filter(wanted).collect())
    }
}

/// How often steps are done that do not say so themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repetitions(Vec<(Step, u32)>);

impl Repetitions {
    /// Takes words like `restore=3`.
    pub(crate) fn parse(words: &[String]) -> Result<Self, Failure> {
        let wrong = |word: &str| Failure::Usage(format!("write `--repeat STEP=NUMBER`, not `{word}`"));
        let parse = |word: &String| {
            let (name, number) = word.split_once('=').ok_or_else(|| wrong(word))?;
            let step = Step::ALL.into_iter().find(|step| step.name() == name).ok_or_else(|| wrong(word))?;
            match number.parse() {
                Ok(number) if number > 0 && !matches!(step, Step::Day | Step::Days | Step::Collect) => {
                    Ok((step, number))
                }
                _ => Err(wrong(word)),
            }
        };
        words.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn of(&self, step: Step) -> u32 {
        let usual = match step {
            Step::Start | Step::Find | Step::One => 5,
            Step::Unchanged => 3,
            _ => 1,
        };
        self.0.iter().rfind(|(which, _)| *which == step).map_or(usual, |(_, number)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn steps_come_in_their_order_and_after_a_first_backup() {
        assert_eq!(Step::named(&words("verify,find")).unwrap(), [Step::First, Step::Find, Step::Verify]);
        assert!(Step::named(&words("first,jump")).unwrap_err().to_string().contains("`jump`"));
        assert!(Step::ALL.is_sorted());
    }

    #[test]
    fn repetitions_are_given_by_step() {
        let given = Repetitions::parse(&words("restore=3,find=1")).unwrap();
        assert_eq!([Step::Restore, Step::Find, Step::One, Step::First].map(|step| given.of(step)), [3, 1, 5, 1]);
        for wrong in ["restore", "restore=", "restore=0", "jump=2", "day=2", "collect=2"] {
            assert!(Repetitions::parse(&words(wrong)).is_err(), "{wrong}");
        }
    }
}
