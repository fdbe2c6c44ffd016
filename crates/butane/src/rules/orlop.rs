//! What the sections of our own variant must keep to.

use ignition_spec::check::{Checker, non_empty};
use ignition_spec::report::{Entry, Rule};

use super::{
    FRAGMENT_LOCAL, HEALTH_COMMAND, HEALTH_KIND, HEALTH_NAME, HEALTH_SECONDS, HEALTH_UNIT, HEALTH_URL,
    POD_CONTENT, POD_NAME, POD_PORT, POD_RESTART, POD_SHORT, POD_VOLUME, UPDATE_STRATEGY, UPDATE_WINDOW,
    UPDATE_WINDOWS,
};
use crate::fields::orlop::{
    FragmentReference, HealthCheck, Loose, Pod, RESTARTS, STRATEGIES, Updates, Window,
};
use crate::orlop::{port, volume};

/// A label of DNS: 1 to 63 letters, digits and dashes in the middle.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn at(checker: &mut Checker<'_>, keys: &[&dyn std::fmt::Display], rule: Rule, message: String) {
    let entry = Entry::error(rule, checker.path.join(keys)).message(message);
    checker.push(entry);
}

/// A fragment is a file.
pub(crate) fn fragment(fragment: &FragmentReference, checker: &mut Checker<'_>) {
    if fragment.local.is_empty() {
        checker.error(&[], FRAGMENT_LOCAL);
    }
}

/// A pod has one content, or the short form.
pub(crate) fn pod(pod: &Pod, checker: &mut Checker<'_>) {
    if !is_label(&pod.name) {
        checker.error(&[&"name"], POD_NAME);
    }
    let contents = [pod.inline != Loose::Unset, pod.local.is_some(), pod.image.is_some()].map(usize::from);
    if contents.iter().sum::<usize>() != 1 {
        checker.error(&[], POD_CONTENT);
    }
    if pod.image.is_none() {
        for (key, given) in [
            ("command", !pod.command.is_empty()),
            ("args", !pod.args.is_empty()),
            ("env", !pod.env.is_empty()),
            ("ports", !pod.ports.is_empty()),
            ("volumes", !pod.volumes.is_empty()),
            ("restart", pod.restart.is_some()),
            ("host_network", pod.host_network.is_some()),
        ] {
            if given {
                checker.error(&[&key], POD_SHORT);
            }
        }
    }
    for (index, text) in pod.ports.iter().enumerate().filter(|(_, text)| port(text).is_none()) {
        at(checker, &[&"ports", &index], POD_PORT, format!("{text:?}: {}", POD_PORT.text));
    }
    for (index, text) in pod.volumes.iter().enumerate().filter(|(_, text)| volume(text).is_none()) {
        at(checker, &[&"volumes", &index], POD_VOLUME, format!("{text:?}: {}", POD_VOLUME.text));
    }
    if non_empty(&pod.restart).is_some_and(|restart| !checker.offers(RESTARTS, restart)) {
        checker.error(&[&"restart"], POD_RESTART);
    }
}

/// A check is of one kind.
pub(crate) fn health_check(check: &HealthCheck, checker: &mut Checker<'_>) {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if check.name.is_empty() || check.name.starts_with('.') || !check.name.bytes().all(in_name) {
        checker.error(&[&"name"], HEALTH_NAME);
    }
    let kinds = [
        check.unit.is_some(),
        !check.command.is_empty(),
        !check.http.url.is_empty(),
        !check.container.pod.is_empty(),
    ];
    if kinds.iter().filter(|given| **given).count() != 1 {
        checker.error(&[], HEALTH_KIND);
    }
    if check.unit.as_ref().is_some_and(|unit| !unit.contains('.') || unit.contains('/')) {
        checker.error(&[&"unit"], HEALTH_UNIT);
    }
    if check.command.first().is_some_and(|program| !program.starts_with('/')) {
        checker.error(&[&"command", &0], HEALTH_COMMAND);
    }
    let url = &check.http.url;
    if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
        checker.error(&[&"http", &"url"], HEALTH_URL);
    }
    for (key, secs) in [
        ("interval_secs", check.interval_secs),
        ("timeout_secs", check.timeout_secs),
        ("within_secs", check.within_secs),
    ] {
        if secs.is_some_and(|secs| !(1..=86_400).contains(&secs)) {
            checker.error(&[&key], HEALTH_SECONDS);
        }
    }
}

/// Windows are for the strategy of that name.
pub(crate) fn updates(updates: &Updates, checker: &mut Checker<'_>) {
    let strategy = non_empty(&updates.strategy);
    if strategy.is_some_and(|strategy| !checker.offers(STRATEGIES, strategy)) {
        checker.error(&[&"strategy"], UPDATE_STRATEGY);
    }
    if (strategy == Some("window")) == updates.windows.is_empty() {
        checker.error(&[&"windows"], UPDATE_WINDOWS);
    }
}

/// A window has a start and a length.
pub(crate) fn window(window: &Window, checker: &mut Checker<'_>) {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    for (index, _) in window.days.iter().enumerate().filter(|(_, day)| !days.contains(&day.as_str())) {
        checker.error(&[&"days", &index], UPDATE_WINDOW);
    }
    let number = |text: &str, max: u32| {
        text.len() == 2
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse().is_ok_and(|number: u32| number <= max)
    };
    let start = window.start.split_once(':');
    if !start.is_some_and(|(hour, minute)| number(hour, 23) && number(minute, 59)) {
        checker.error(&[&"start"], UPDATE_WINDOW);
    }
    if !(1..=7 * 24 * 60).contains(&window.length_minutes) {
        checker.error(&[&"length_minutes"], UPDATE_WINDOW);
    }
}
