//! What belongs to an account on a booted host with a real sshd, PAM and logind, and ending it.
//!
//! The looking is done from this machine, in the host's pid namespace and with a copy of the host's
//! /run/systemd/sessions, so that one binary serves hosts with an older libc.

use std::error::Error;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rescind_agent::processes::holdings::SudoBorn;
use rescind_agent::processes::{Ender, Scope, Subject};
use rescind_tests::{Account, Host, Key, Login, Ran, Release, run};

type Tested = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    if let Some(code) = rescind_agent::home::hidden_entry(std::env::args_os().skip(1)) {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("on-host") => on_host(&args[1..]),
        _ => [Release::Bullseye, Release::Bookworm, Release::Trixie]
            .into_iter()
            .try_for_each(story),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ssh_sessions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn story(release: Release) -> Tested {
    let host = Host::boot(release);
    let (key, bobs_key) = (Key::ed25519("alice"), Key::ed25519("bob"));
    let alice = Account::create(&host, "alice").authorize(&key);
    let bob = Account::create(&host, "bob").authorize(&bobs_key);
    // A second name for alice's uid, as service accounts have it.
    host.run("useradd -o -u $(id -u alice) -g alice -d /home/alice -s /bin/sh twin")
        .ok();
    host.run("echo 'alice ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/alice")
        .ok();

    let nothing = look(&host, "whole");
    holds(&nothing, "processes 0\nsshd 0\nsessions 0\nborn 0\ngaps 0")?;

    let login = Login::to(&host, "alice").with(&key);
    let twins = Login::to(&host, "twin").with(&key);
    let mut bobs = Login::to(&host, "bob").with(&bobs_key).open();
    let mut session = login.open();
    let mut master = login.open_master();
    // What outlives a session, a root process from sudo, and one that only looks like sshd.
    login
        .run("setsid sleep 1001 >/dev/null 2>&1 </dev/null & sleep 0.1")
        .ok();
    login
        .run("sudo -n setsid sh -c 'sleep 1002 >/dev/null 2>&1 </dev/null &'")
        .ok();
    login.run("(exec -a 'sshd: bob [priv]' sleep 1003 >/dev/null 2>&1 </dev/null) & sleep 0.1");
    let mut twin = twins.open();

    let all = look(&host, "whole");
    let said = |what: &str| all.text().lines().any(|line| line.starts_with(what));
    check(
        said("session sshd from 10."),
        "the session has its client's address",
        &all,
    )?;
    check(said("born sleep"), "what sudo left is seen", &all)?;
    check(said("gaps 0"), "nothing was hidden", &all)?;
    let sshd = number(&all, "sshd ");
    check(
        sshd == Some(3),
        "alice's two connections and her twin's",
        &all,
    )?;

    // By session: the twin's login is not alice's, although the uid is the same.
    let by_session = look(&host, "sessions");
    check(
        number(&by_session, "sshd ") == Some(2),
        "two connections by name",
        &by_session,
    )?;
    let ended = end(&host, "sessions");
    check(
        ended.text().contains("clean true"),
        "alice's sessions are ended",
        &ended,
    )?;
    let patience = Duration::from_secs(5);
    let closed = session.wait_closed(patience).is_some() && master.wait_closed(patience).is_some();
    check(closed, "her clients see it", &ended)?;
    check(
        twin.is_open() && bobs.is_open(),
        "the twin and bob go on",
        &ended,
    )?;
    println!("{release:?}, by session: {}", line(&ended, "took"));

    // All of the uid, with a master in use.
    let mut master = login.open_master();
    check(master.run("true").succeeded(), "the master is open", &ended)?;
    let started = Instant::now();
    let ended = end(&host, "whole");
    check(ended.text().contains("clean true"), "all is ended", &ended)?;
    check(
        number(&ended, "survivors ") == Some(0),
        "nobody is left",
        &ended,
    )?;
    check(
        ended.text().contains("born sleep"),
        "what sudo left is reported",
        &ended,
    )?;
    check(
        master.wait_closed(patience).is_some(),
        "the master is gone",
        &ended,
    )?;
    check(
        twin.wait_closed(patience).is_some(),
        "the twin's session is gone",
        &ended,
    )?;
    check(
        !master.run("true").succeeded(),
        "the master takes no command",
        &ended,
    )?;
    check(alice.processes() == 0, "the host says so, too", &ended)?;
    println!(
        "{release:?}, whole: {}, client and all {} ms",
        line(&ended, "took"),
        started.elapsed().as_millis()
    );
    check(bobs.is_open() && bob.processes() > 0, "bob goes on", &ended)?;
    check(
        Login::to(&host, "bob").with(&bobs_key).attempt().is_in(),
        "and can log in",
        &ended,
    )?;
    Ok(())
}

/// Runs this program in the host's pid namespace.
fn in_host(host: &Host, role: &str, scope: &str) -> Ran {
    let uid = host.run("id -u alice").ok().text();
    // A copy of logind's files: they cannot be bound from another mount namespace.
    let script = "mount -t proc proc /proc && mount -t tmpfs none /run/systemd/sessions && \
        for file in /proc/1/root/run/systemd/sessions/*; do \
            [ ! -f \"$file\" ] || cp \"$file\" /run/systemd/sessions/; \
        done && exec \"$@\"";
    let itself = std::env::current_exe().expect("this program has a path");
    run(Command::new("nsenter")
        .args(["-t", &host.init_pid().to_string(), "--pid", "--"])
        .args(["unshare", "--mount", "--", "sh", "-c", script, "sh"])
        .arg(itself)
        .args(["on-host", role, scope, uid.trim()]))
}

fn look(host: &Host, scope: &str) -> Ran {
    in_host(host, "look", scope).ok()
}

fn end(host: &Host, scope: &str) -> Ran {
    in_host(host, "end", scope).ok()
}

/// The part inside: says in lines what it finds or does.
fn on_host(args: &[String]) -> Tested {
    let [role, scope, uid] = args else {
        return Err("want a role, a scope and a uid".into());
    };
    let subject = Subject {
        name: "alice".parse()?,
        uid: uid.parse()?,
        gid: uid.parse()?,
        subuids: Vec::new(),
        only: None,
        scope: match scope.as_str() {
            "whole" => Scope::WholeUid,
            _ => Scope::SessionsOnly,
        },
    };
    let ender = Ender::new()?;
    if role == "look" {
        let started = Instant::now();
        let holdings = ender.look(&subject, SudoBorn::Seek);
        println!("took {} us", started.elapsed().as_micros());
        println!("processes {}", holdings.processes.len());
        println!("sshd {}", holdings.sshd.len());
        println!("sessions {}", holdings.sessions.len());
        println!("born {}", holdings.sudo_born.len());
        println!("gaps {}", holdings.gaps.len());
        for session in &holdings.sessions {
            println!(
                "session {} from {} on {} id {} with {}",
                session.service,
                session.remote_host.as_deref().unwrap_or("?"),
                session.tty.as_deref().unwrap_or("?"),
                session.id.as_deref().unwrap_or("?"),
                session.processes.len()
            );
        }
        for process in &holdings.sudo_born {
            println!("born {} {process}", process.comm.escape_ascii());
        }
        for process in holdings.processes.iter().chain(&holdings.sshd) {
            println!("{process} uids {:?}", process.uids);
        }
        for path in holdings.paths(&subject) {
            println!("path {:?} {:?} {}", path.mechanism, path.state, path.reason);
        }
        return Ok(());
    }
    let started = Instant::now();
    let frozen = ender.freeze(&subject)?;
    let froze = started.elapsed();
    let report = ender.end(&subject, Some(&frozen), SudoBorn::Seek)?;
    println!(
        "took {} us freezing, {} us ending, {} looks, {} ended",
        froze.as_micros(),
        report.took.as_micros(),
        report.looks,
        report.ended.len()
    );
    println!("clean {}", report.is_clean());
    println!("survivors {}", report.survivors.len());
    for process in &report.sudo_born {
        println!("born {} {process}", process.comm.escape_ascii());
    }
    for process in report.survivors.iter().chain(&frozen.running) {
        println!("left {process:?}");
    }
    Ok(())
}

fn number(ran: &Ran, key: &str) -> Option<usize> {
    let text = ran.text();
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.parse().ok()
}

fn line(ran: &Ran, key: &str) -> String {
    let text = ran.text();
    let line = text.lines().find(|line| line.starts_with(key));
    line.unwrap_or_default().to_owned()
}

fn holds(ran: &Ran, lines: &str) -> Tested {
    let text = ran.text();
    let missing = lines
        .lines()
        .find(|want| !text.lines().any(|line| line == *want));
    match missing {
        None => Ok(()),
        Some(missing) => Err(format!("no line {missing:?} in:\n{text}").into()),
    }
}

fn check(holds: bool, what: &str, ran: &Ran) -> Tested {
    match holds {
        true => Ok(()),
        false => Err(format!("not so: {what}\n{}", ran.text()).into()),
    }
}
