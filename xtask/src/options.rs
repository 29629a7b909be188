//! The command line of a task.

use std::str::FromStr;

use crate::failure::Failure;

/// Arguments not taken yet. Each method takes what it names; [`Options::finish`] refuses the rest.
#[derive(Debug)]
pub(crate) struct Options {
    left: Vec<String>,
}

impl Options {
    pub(crate) fn new(arguments: Vec<String>) -> Self {
        Self { left: arguments }
    }

    /// Whether `name` was given.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.left.len();
        self.left.retain(|argument| argument != name);
        self.left.len() < before
    }

    /// Every value given as `name VALUE`.
    pub(crate) fn values(&mut self, name: &str) -> Result<Vec<String>, Failure> {
        let mut values = Vec::new();
        while let Some(at) = self.left.iter().position(|argument| argument == name) {
            if at + 1 == self.left.len() {
                return Err(Failure::Usage(format!("`{name}` needs a value")));
            }
            values.push(self.left.remove(at + 1));
            self.left.remove(at);
        }
        Ok(values)
    }

    /// The value given as `name NUMBER`; the last one counts.
    pub(crate) fn number<N: FromStr>(&mut self, name: &str) -> Result<Option<N>, Failure> {
        let Some(text) = self.values(name)?.pop() else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Failure::Usage(format!("`{name}` needs a number, not `{text}`")))
    }

    /// What is left, if none of it looks like an option.
    pub(crate) fn positional(self) -> Result<Vec<String>, Failure> {
        match self.left.iter().find(|argument| argument.starts_with('-')) {
            Some(option) => Err(Failure::Usage(format!("no option `{option}`; see `cargo xtask --help`"))),
            None => Ok(self.left),
        }
    }

    /// Refuses whatever is left.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self.left.first() {
            Some(surplus) => Err(Failure::Usage(format!("unexpected `{surplus}`; see `cargo xtask --help`"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        Options::new(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn each_option_is_taken_once_and_the_rest_is_left() {
        let mut options = options("-p one --install -p two three");
        assert_eq!(options.values("-p").unwrap(), ["one", "two"]);
        assert!(options.flag("--install"));
        assert!(!options.flag("--install"));
        assert_eq!(options.positional().unwrap(), ["three"]);
    }

    #[test]
    fn a_value_must_be_there_and_be_a_number() {
        assert!(options("--seeds").number::<u64>("--seeds").is_err());
        assert!(options("--seeds many").number::<u64>("--seeds").is_err());
        assert_eq!(options("--seeds 7").number::<u64>("--seeds").unwrap(), Some(7));
        assert_eq!(options("").number::<u64>("--seeds").unwrap(), None);
    }

    #[test]
    fn what_nobody_took_is_refused() {
        assert!(options("surplus").finish().is_err());
        assert!(options("--typo").positional().is_err());
        assert!(options("").finish().is_ok());
    }
}
