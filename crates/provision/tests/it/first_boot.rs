//! The report of a first boot.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use provision::event::{Event, Phase};
use provision::fetch::resource::Net;
use provision::first_boot::{self, Recorder, Report, Target};
use provision::net::http::{HttpSettings, Retry};

use crate::machine::{Machine, TestClock};
use crate::server::{Server, ok, status};

fn parsed(text: &str) -> ignition_spec::Config {
    ignition_spec::parse(text.as_bytes()).unwrap().config
}

fn with_file(content: &str) -> ignition_spec::Config {
    parsed(&format!(
        r#"{{"ignition": {{"version": "3.5.0"}}, "storage": {{"files": [{{"path": "{}",
        "contents": {{"source": "{content}"}}}}]}}}}"#,
        first_boot::TARGET_PATH
    ))
}

#[test]
fn who_gets_the_report() {
    let none = ignition_spec::Config::default();
    assert_eq!(first_boot::target("quiet", Some(&none)), Ok(None));
    assert_eq!(first_boot::target("quiet", None), Ok(None));
    let config = with_file("data:,%7B%22url%22:%22https://h/r%22,%22headers%22:%7B%22A%22:%22b%22%7D%7D");
    let target = first_boot::target("", Some(&config)).unwrap().unwrap();
    let headers = [("A".to_owned(), "b".to_owned())].into();
    assert_eq!(target, Target { url: "https://h/r".into(), headers });
    let line = "orlop.report_url=http://kernel/r";
    assert_eq!(first_boot::target(line, Some(&config)).unwrap().unwrap().url, "http://kernel/r");
    for (content, why) in [
        ("http://h/file", "the content has to be in the config"),
        ("data:,%7B", "EOF"),
        ("data:,%7B%22url%22:%22ftp://h%22%7D", "is no http: or https: URL"),
        ("data:,%7B%22uri%22:%22http://h%22%7D", "unknown field `uri`"),
    ] {
        let error = first_boot::target("", Some(&with_file(content))).unwrap_err();
        assert!(error.starts_with(first_boot::TARGET_PATH) && error.contains(why), "{error}");
    }
}

/// The report of a boot that a config with errors ended.
fn failed() -> (Recorder, Report) {
    let mut machine = Machine::new();
    let text =
        r#"{"ignition": {"version": "3.5.0"}, "storage": {"files": [{"path": "etc/a"}, {"path": "b"}]}}"#;
    machine.fw_cfg("opt/com.coreos/config", text.as_bytes());
    let mut recorder = Recorder::default();
    recorder.see(&Event::Start(Phase::Fetch));
    let retry = Retry { url: "u".into(), attempt: 1, why: "w".into(), wait: Duration::ZERO };
    recorder.see(&Event::Retry(Phase::Fetch, retry));
    for number in 0..150 {
        recorder.see(&Event::Warning(Phase::Fetch, format!("warning {number}")));
    }
    recorder.failed(&machine.fetch().unwrap_err());
    recorder.failed_otherwise("switch", "something after it");
    let report = recorder.report(SystemTime::UNIX_EPOCH, "boot", "qemu");
    (recorder, report)
}

#[test]
fn a_failure_is_told_with_all_its_places() {
    let (_, report) = failed();
    let json: serde_json::Value = serde_json::from_str(&report.text()).unwrap();
    assert_eq!(json["result"], "failed");
    assert_eq!(json["failed_phase"], "fetch");
    assert_eq!(json["errors"].as_array().unwrap().len(), 2);
    assert_eq!(json["errors"][0]["place"]["path"], "$.storage.files.0.path");
    assert_eq!(json["errors"][0]["place"]["position"][0], 1);
    assert_eq!((&json["warnings"].as_array().unwrap().len(), &json["warning_count"]), (&100, &150.into()));
    assert_eq!((&json["retries"], &json["date"]), (&1.into(), &"1970-01-01T00:00:00Z".into()));
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
    let line = report.line();
    assert!(line.len() < 900 && !line.contains('\n'), "{line}");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["result"], &line["errors"], &line["failed_phase"]),
        (&"failed".into(), &2.into(), &"fetch".into())
    );
}

#[test]
fn a_success_is_told_with_its_phases() {
    let mut recorder = Recorder::default();
    recorder.config(true, vec!["a.ign", "b.bu"]);
    recorder.see(&Event::Done(Phase::Fetch, Duration::from_micros(1_234_567)));
    recorder.see(&Event::Done(Phase::Files, Duration::from_secs(2)));
    let report = recorder.report(SystemTime::UNIX_EPOCH, "boot", "aws");
    let line: serde_json::Value = serde_json::from_str(&report.line()).unwrap();
    let wanted = serde_json::json!({"version": 1, "result": "ok", "seconds": 3.235, "user_config": true,
        "documents": 2, "warnings": 0, "retries": 0});
    assert_eq!(line, wanted);
    assert_eq!(report.phases[0].seconds, 1.235);
}

#[test]
fn it_is_posted_until_it_is_taken_or_the_time_is_over() {
    let heard: Arc<Mutex<Vec<Report>>> = Arc::default();
    let ears = Arc::clone(&heard);
    let mut tired = true;
    let server = Server::with(move |asked| {
        assert_eq!((asked.method.as_str(), asked.header("content-type")), ("POST", "application/json"));
        if asked.header("authorization") != "Bearer x" {
            return status(401);
        }
        if std::mem::take(&mut tired) {
            return status(503);
        }
        ears.lock().unwrap().push(serde_json::from_slice(&asked.body).unwrap());
        ok("thanks")
    });
    let (_, report) = failed();
    let clock = TestClock::default();
    let mut up = |_: &str| Ok(());
    let mut net = Net::new(Machine::new().client(), &clock, &mut up);
    let mut events = Vec::new();
    let mut post = |target: &Target| {
        let settings = HttpSettings::default();
        first_boot::post(&mut net, target, &settings, &report, &mut |event| events.push(event.text()))
    };
    let headers: std::collections::BTreeMap<_, _> =
        [("Authorization".to_owned(), "Bearer x".to_owned())].into();
    post(&Target { url: format!("{}/r", server.url), headers }).unwrap();
    let error = post(&Target { url: format!("{}/r", server.url), ..Target::default() }).unwrap_err();
    assert!(error.to_string().contains("the server answers 401"), "{error}");
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = post(&Target { url: format!("http://{dead}/r"), ..Target::default() }).unwrap_err();
    assert!(error.to_string().contains("in 15 s"), "{error}");
    assert!(events[0].contains("the server answers 503"), "{events:?}");
    assert_eq!(*heard.lock().unwrap(), [report]);
}
