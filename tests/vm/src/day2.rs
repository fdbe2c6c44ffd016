//! Changes of a machine that runs: applied, taken back, cut.

use std::time::Duration;

use vm::harness::{Body, Session, Speed, Test, TestResult};

use crate::boot::plain;
use crate::given::{holds, same};

const WEB: &str = "variant: fcos
version: 1.5.0
storage:
  files:
    - path: /etc/web.conf
      contents: {inline: \"one\\n\"}
systemd:
  units:
    - name: web.service
      enabled: true
      contents: |
        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=/bin/sh -c 'cp /etc/web.conf /run/web'
        ExecStop=/bin/sh -c 'touch /run/web-stopped'
        [Install]
        WantedBy=multi-user.target
";

/// The tests.
pub const TESTS: &[Test] = &[
    Test {
        name: "vm_day2_apply_and_remove",
        about: "a config applied to a running machine adds a file and a unit, changes them, and removes them again",
        speed: Speed::Clone,
        idle_secs: 120,
        provokes: &[],
        body: Body::Machine(plain, apply_and_remove),
    },
    Test {
        name: "vm_day2_network_cut_is_reverted",
        about: "a config that takes the network away and is not confirmed is taken back by itself",
        speed: Speed::Clone,
        idle_secs: 120,
        provokes: &[],
        body: Body::Machine(plain, network_cut),
    },
    Test {
        name: "vm_day2_power_cut_is_old_or_new",
        about: "a power cut while a change waits for its confirmation leads back to the old machine",
        speed: Speed::Clone,
        idle_secs: 150,
        provokes: &[],
        body: Body::Machine(plain, power_cut),
    },
    Test {
        name: "vm_day2_reset_keeps_what_it_says",
        about: "a reset machine is provisioned anew at its next boot, and has what was to be kept",
        speed: Speed::Clone,
        idle_secs: 150,
        provokes: &[],
        body: Body::Machine(plain, reset),
    },
];

fn apply_and_remove(session: &mut Session<'_>) -> TestResult {
    session.write("/root/web.bu", 0o600, WEB.as_bytes())?;
    holds(
        "plan",
        session.sh("orlop-host apply --dry-run /root/web.bu")?.as_str(),
        "create file /etc/web.conf",
    )?;
    session.sh("orlop-host apply /root/web.bu")?;
    same("its work", session.sh("cat /run/web")?, "one")?;
    session.sh("orlop-host diff")?;
    session.write("/root/web.bu", 0o600, WEB.replace("one", "two").as_bytes())?;
    session.sh("orlop-host apply /root/web.bu")?;
    // The unit names the file that changed, so it was restarted.
    same("its work again", session.sh("cat /run/web")?, "two")?;
    session.write("/root/none.bu", 0o600, b"variant: fcos\nversion: 1.5.0\n")?;
    session.sh("rm -f /run/web-stopped; orlop-host apply /root/none.bu")?;
    session.sh(
        "test ! -e /etc/web.conf && test ! -e /etc/systemd/system/web.service && test -e /run/web-stopped",
    )?;
    same("unit", session.sh("systemctl is-active web.service || true")?, "inactive")?;
    session.sh("systemctl is-active orlop-guest-agent.service").map(drop)
}

fn network_cut(session: &mut Session<'_>) -> TestResult {
    let carrier = "ip -4 -o addr show scope global | grep -q .";
    session.wait_until(carrier, Duration::from_secs(20))?;
    let cut = "variant: fcos
version: 1.5.0
storage:
  files:
    - path: /etc/systemd/network/00-cut.network
      contents:
        inline: |
          [Match]
          Name=en*
          [Link]
          ActivationPolicy=always-down
";
    session.write("/root/cut.bu", 0o600, cut.as_bytes())?;
    let ended = session.sh("orlop-host apply --confirm-within 5s /root/cut.bu 2>&1; echo code $?")?;
    holds("end", &ended, "nobody confirmed it within 5 s")?;
    holds("end", &ended, "code 5")?;
    session.sh("test ! -e /etc/systemd/network/00-cut.network")?;
    session.wait_until(carrier, Duration::from_secs(30)).map(drop)
}

fn power_cut(session: &mut Session<'_>) -> TestResult {
    session.write("/root/web.bu", 0o600, WEB.as_bytes())?;
    session.sh("sync")?;
    session.sh(
        "setsid orlop-host apply --confirm-within 10m /root/web.bu > /run/apply.log 2>&1 < /dev/null &",
    )?;
    session.wait_until("grep -q waiting /run/orlop/apply.json", Duration::from_secs(30))?;
    session.sh("test -e /etc/web.conf && sync")?;
    session.power_cut()?;
    session.power_on()?;
    session.sh(
        "test ! -e /etc/web.conf && test ! -e /etc/systemd/system/web.service && test ! -e /orlop/apply",
    )?;
    same("unit", session.sh("systemctl is-active web.service || true")?, "inactive")?;
    session.sh("orlop-host diff").map(drop)
}

fn reset(session: &mut Session<'_>) -> TestResult {
    session.sh("mkdir -p /var/lib/app && echo kept > /var/lib/app/data && echo lost > /var/lib/other")?;
    session.sh("orlop-host reset --keep /var/lib/app --yes && sync")?;
    session.reboot()?;
    same("kept", session.sh("cat /var/lib/app/data")?, "kept")?;
    session
        .sh("test ! -e /var/lib/other && test ! -e /orlop/reset.json && test -e /orlop/provisioned.json")
        .map(drop)
}
