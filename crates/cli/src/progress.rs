//! Progress of long work: one line that is redrawn on a terminal, plain lines elsewhere (CI, pipes).

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Nothing is drawn before this: quick work leaves no flicker (jj's habit).
const DRAW_AFTER: Duration = Duration::from_millis(250);

/// Where there is no terminal, a running step is repeated at most this often.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Draws the steps of a long piece of work on standard error.
///
/// ```text
/// terminal:  ⠹ packages: 93 of 152, linux-image-6.12…
/// plain:     packages: 93 of 152
///            packages: done in 41.2 s
/// ```
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    step: Option<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    began: Instant,
    last_plain: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Progress on standard error: drawn if it is a terminal, told in lines if not.
    #[must_use]
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(
                ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is fixed"),
            );
            bar
        });
        Self { bar, step: None }
    }

    /// A step begins; the one before it, if any, is told as done.
    pub fn start(&mut self, name: &str) {
        self.done();
        let now = Instant::now();
        self.step = Some(Step { name: name.to_owned(), began: now, last_plain: now });
        match &self.bar {
            Some(bar) => bar.set_message(name.to_owned()),
            None => crate::say(&format!("{name} ...")),
        }
    }

    /// What the running step does now.
    pub fn update(&mut self, text: &str) {
        let Some(step) = &mut self.step else { return };
        let line = format!("{}: {text}", step.name);
        match &self.bar {
            Some(bar) if step.began.elapsed() >= DRAW_AFTER => {
                bar.set_message(line);
                bar.tick();
            }
            None if step.last_plain.elapsed() >= PLAIN_EVERY => {
                step.last_plain = Instant::now();
                crate::say(&line);
            }
            _ => {}
        }
    }

    /// The running step ends; steps that took no time worth telling leave no line on a terminal.
    pub fn done(&mut self) {
        let Some(step) = self.step.take() else { return };
        let took = step.began.elapsed();
        if self.bar.is_none() || took >= DRAW_AFTER {
            self.line(&format!("{}: done in {:.1} s", step.name, took.as_secs_f64()));
        }
    }

    /// A line that stays, above whatever is drawn.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| crate::say(text)),
            None => crate::say(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // A step that was cut short by an error is not "done"; the error itself follows.
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
