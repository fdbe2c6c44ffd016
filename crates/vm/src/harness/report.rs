//! Reports of a run: JUnit XML for CI systems, JSON for scripts.

use serde::Serialize;

use super::run::{Outcome, Verdict};

/// One JSON object: `{"tests": [{"name", "passed", "seconds", "reason"?, "kept"?}], "passed", "failed"}`.
#[must_use]
pub fn json(outcomes: &[Outcome]) -> String {
    #[derive(Serialize)]
    struct Row<'a> {
        name: &'a str,
        passed: bool,
        seconds: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kept: Option<String>,
    }
    #[derive(Serialize)]
    struct Report<'a> {
        tests: Vec<Row<'a>>,
        passed: usize,
        failed: usize,
    }
    let tests: Vec<Row<'_>> = outcomes
        .iter()
        .map(|outcome| Row {
            name: outcome.name,
            passed: outcome.passed(),
            seconds: (outcome.took.as_secs_f64() * 1000.0).round() / 1000.0,
            reason: reason(outcome),
            kept: outcome.kept.as_ref().map(|path| path.display().to_string()),
        })
        .collect();
    let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
    let report = Report { failed: tests.len() - passed, passed, tests };
    serde_json::to_string(&report).expect("a report holds only text and numbers")
}

/// JUnit's XML (the subset of junit-10.xsd that CI systems read).
#[must_use]
pub fn junit(outcomes: &[Outcome]) -> String {
    let failures = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.took.as_secs_f64()).sum();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuite name=\"orlop\" tests=\"{}\" failures=\"{failures}\" time=\"{seconds:.3}\">\n",
        outcomes.len()
    );
    for outcome in outcomes {
        let (name, seconds) = (escape(outcome.name), outcome.took.as_secs_f64());
        xml.push_str(&format!("  <testcase classname=\"orlop\" name=\"{name}\" time=\"{seconds:.3}\""));
        match reason(outcome) {
            None => xml.push_str("/>\n"),
            Some(reason) => {
                let first = escape(reason.lines().next().unwrap_or_default());
                xml.push_str(&format!(
                    "><failure message=\"{first}\">{}</failure></testcase>\n",
                    escape(reason)
                ));
            }
        }
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn reason(outcome: &Outcome) -> Option<&str> {
    match &outcome.verdict {
        Verdict::Passed => None,
        Verdict::Failed(reason) => Some(reason),
    }
}

/// XML 1.0 forbids most control characters even as references.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(char),
            char if char.is_control() => out.push('?'),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn outcomes() -> Vec<Outcome> {
        let failed = Verdict::Failed("a < b\n\u{1b}[0m".into());
        vec![
            Outcome { name: "one", verdict: Verdict::Passed, took: Duration::from_millis(1500), kept: None },
            Outcome {
                name: "two",
                verdict: failed,
                took: Duration::from_millis(20),
                kept: Some("/k".into()),
            },
        ]
    }

    #[test]
    fn json_form() {
        assert_eq!(
            json(&outcomes()),
            "{\"tests\":[{\"name\":\"one\",\"passed\":true,\"seconds\":1.5},\
             {\"name\":\"two\",\"passed\":false,\"seconds\":0.02,\"reason\":\"a < b\\n\\u001b[0m\",\"kept\":\"/k\"}],\
             \"passed\":1,\"failed\":1}"
        );
    }

    #[test]
    fn junit_form() {
        assert_eq!(
            junit(&outcomes()),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuite name=\"orlop\" tests=\"2\" failures=\"1\" time=\"1.520\">\n  \
             <testcase classname=\"orlop\" name=\"one\" time=\"1.500\"/>\n  \
             <testcase classname=\"orlop\" name=\"two\" time=\"0.020\"><failure message=\"a &lt; b\">a &lt; b\n?[0m\
             </failure></testcase>\n</testsuite>\n"
        );
    }
}
