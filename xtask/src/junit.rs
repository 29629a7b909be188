//! Test results as JUnit XML, the form the build server reads.

use std::fmt::Write;

use crate::suite::{Outcome, Suite};

/// One document for all `suites`.
pub(crate) fn document(suites: &[Suite]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for suite in suites {
        write_suite(&mut xml, suite).expect("writing to a string cannot fail");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn write_suite(xml: &mut String, suite: &Suite) -> std::fmt::Result {
    let counts = suite.counts();
    let name = escaped(&suite.name);
    writeln!(
        xml,
        "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3}\">",
        suite.cases.len(),
        counts.failed,
        counts.left_out,
        suite.time.as_secs_f64()
    )?;
    for case in &suite.cases {
        write!(xml, "    <testcase classname=\"{name}\" name=\"{}\"", escaped(&case.name))?;
        match &case.outcome {
            Outcome::Passed => writeln!(xml, "/>")?,
            Outcome::Failed { output } => {
                writeln!(xml, "><failure message=\"failed\">{}</failure></testcase>", escaped(output))?;
            }
            Outcome::LeftOut { reason } => {
                writeln!(xml, "><skipped message=\"{}\"/></testcase>", escaped(reason))?;
            }
        }
    }
    writeln!(xml, "  </testsuite>")
}

/// `text` for an attribute or an element. Characters XML 1.0 cannot hold (its section 2.2) are replaced.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\t' | '\n' | '\r' => safe.push(character),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::suite::Case;

    #[test]
    fn every_outcome_has_its_element() {
        let cases = vec![
            Case { name: "a".to_owned(), outcome: Outcome::Passed },
            Case { name: "b<c>".to_owned(), outcome: Outcome::Failed { output: "x & \"y\" \u{1b}[0m".to_owned() } },
            Case { name: "d".to_owned(), outcome: Outcome::LeftOut { reason: "needs the corpus".to_owned() } },
        ];
        let xml = document(&[Suite { name: "sb-x lib".to_owned(), time: Duration::from_millis(1500), cases }]);
        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  \
             <testsuite name=\"sb-x lib\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"1.500\">\n    \
             <testcase classname=\"sb-x lib\" name=\"a\"/>\n    \
             <testcase classname=\"sb-x lib\" name=\"b&lt;c&gt;\"><failure message=\"failed\">\
             x &amp; &quot;y&quot; \u{fffd}[0m</failure></testcase>\n    \
             <testcase classname=\"sb-x lib\" name=\"d\"><skipped message=\"needs the corpus\"/></testcase>\n  \
             </testsuite>\n</testsuites>\n"
        );
    }
}
