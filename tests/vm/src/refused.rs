//! Configs that a machine refuses: it names the cause and the user's own line, and does not come up.

use std::time::Duration;

use vm::harness::{Body, Lab, Session, Setup, Speed, Test, TestResult};

use crate::given::{butane, holds};

/// From power to the failure screen on an idle machine.
const GIVES_UP: Duration = Duration::from_secs(30);

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "vm_wrong_hash_refused",
        about: "contents that do not have the declared hash stop the boot, with the user's line",
        speed: Speed::Full,
        idle_secs: 40,
        provokes: &[],
        body: Body::Lab(wrong_hash),
    },
    Test {
        name: "vm_unreachable_url_named",
        about: "a URL that does not answer is tried again, then named",
        speed: Speed::Full,
        idle_secs: 60,
        provokes: &[],
        body: Body::Lab(unreachable_url),
    },
    Test {
        name: "vm_butane_error_at_its_line",
        about: "a mistake in Butane given to the machine itself is shown at its own line",
        speed: Speed::Full,
        idle_secs: 40,
        provokes: &[],
        body: Body::Lab(butane_error),
    },
];

/// Starts a machine that must give up; gives its words, checks that it powers off by itself.
fn gives_up(
    lab: &Lab,
    name: &str,
    setup: &Setup,
    look: impl Fn(&mut Session<'_>, &str) -> TestResult,
) -> TestResult {
    let mut session = lab.start(setup)?;
    let result = session.wait_for_failure(GIVES_UP).and_then(|failure| {
        session.wait_for_end(Duration::from_secs(10))?;
        look(&mut session, &failure.to_string())
    });
    if result.is_err() {
        session.keep(&lab.results.join(name));
    }
    result
}

fn wrong_hash(lab: &Lab) -> TestResult {
    let text = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: /etc/x\n      contents:\n        \
                source: data:,hello\n        verification:\n          \
                hash: sha256-0000000000000000000000000000000000000000000000000000000000000000\n";
    gives_up(lab, "vm_wrong_hash_refused", &butane(text)?, |_, words| {
        holds("cause", words, "the config asks for sha256-0000")?;
        holds(
            "both digests",
            words,
            "sha256-2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        )?;
        // The user's file, and the line with the hash or with what it is of.
        holds("place", words, "test.bu:")?;
        holds("excerpt", words, "hash: sha256-0000")
            .or_else(|_| holds("excerpt", words, "source: data:,hello"))
    })
}

fn unreachable_url(lab: &Lab) -> TestResult {
    // Nothing listens on port 9 of the workstation; the connection is refused at once.
    let text = "variant: fcos\nversion: 1.5.0\nignition:\n  timeouts:\n    http_total: 4\nstorage:\n  files:\n    \
                - path: /etc/x\n      contents:\n        source: http://10.0.2.2:9/nothing-here\n";
    gives_up(lab, "vm_unreachable_url_named", &butane(text)?, |session, words| {
        holds("cause", words, "http://10.0.2.2:9/nothing-here")?;
        holds("place", words, "test.bu:")?;
        holds("excerpt", words, "source: http://10.0.2.2:9/nothing-here")?;
        holds("console", &session.console(), "still trying http://10.0.2.2:9/nothing-here")
    })
}

fn butane_error(lab: &Lab) -> TestResult {
    let text = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: etc/relative\n      contents:\n        \
                inline: hello\n";
    gives_up(lab, "vm_butane_error_at_its_line", &Setup::with_config(text), |_, words| {
        holds("cause", words, "path not absolute")?;
        holds("excerpt", words, "- path: etc/relative")
    })
}
