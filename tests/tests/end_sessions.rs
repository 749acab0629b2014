//! Ending all that belongs to a uid, against processes that do not want to end. Runs as root, in
//! a pid namespace of its own: nothing outside can be hit, and all of it ends with the test.

use std::error::Error;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, geteuid, setresgid, setresuid};
use rescind_agent::processes::holdings::SudoBorn;
use rescind_agent::processes::{EndReport, Ender, Scope, Subject};

type Tested = Result<(), Box<dyn Error>>;

const ALICE: u32 = 54_322;
const ALICE_SUB: u32 = 300_000;
const BOB: u32 = 54_323;

fn main() -> ExitCode {
    if let Some(code) = rescind_agent::home::hidden_entry(std::env::args_os().skip(1)) {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("init") => init(),
        Some("trials") => trials(),
        Some("launch") => launch(&args[1..]),
        Some("victim") => victim(&args[1..]),
        _ => enter_namespace(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("end_sessions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn enter_namespace() -> Tested {
    if !geteuid().is_root() {
        return Err("needs root".into());
    }
    let status = Command::new("unshare")
        .args(["--pid", "--mount-proc", "--fork", "--kill-child", "--"])
        .arg(std::env::current_exe()?)
        .arg("init")
        .status()?;
    status
        .success()
        .then_some(())
        .ok_or("a trial failed".into())
}

/// Pid 1 of the namespace: reaps what loses its parent.
fn init() -> Tested {
    let trials = itself("trials").spawn()?.id();
    loop {
        match wait()? {
            WaitStatus::Exited(pid, code) if pid.as_raw().cast_unsigned() == trials => {
                return (code == 0).then_some(()).ok_or("see above".into());
            }
            WaitStatus::Signaled(pid, signal, _) if pid.as_raw().cast_unsigned() == trials => {
                return Err(format!("ended by {signal}").into());
            }
            _ => {}
        }
    }
}

fn itself(role: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(role).stdin(Stdio::null());
    command
}

/// Starts a victim and is gone, so that the victim is init's; says its pid. The victim keeps
/// standard output open until it is the user's.
fn launch(args: &[String]) -> Tested {
    let victim = itself("victim").args(args).stderr(Stdio::null()).spawn()?;
    println!("{}", victim.id());
    Ok(())
}

/// A process that plays a part, as a user.
fn victim(args: &[String]) -> Tested {
    let [part, uid] = args else {
        return Err("want a part and a uid".into());
    };
    let uid = uid.parse()?;
    setrlimit(Resource::RLIMIT_NPROC, 400, 400)?;
    setresgid(Gid::from_raw(uid), Gid::from_raw(uid), Gid::from_raw(uid))?;
    if part == "login-uid" {
        std::fs::write("/proc/self/loginuid", ALICE.to_string())?;
    }
    if part == "contained" {
        // As a container's runtime, which is root, does it.
        nix::sched::unshare(CloneFlags::CLONE_NEWPID)?;
        // SAFETY: this process has one thread.
        if let ForkResult::Parent { child } = unsafe { fork() }? {
            nix::unistd::dup2_stdout(std::fs::File::open("/dev/null")?)?;
            nix::sys::wait::waitpid(child, None)?;
            return Ok(());
        }
    }
    setresuid(Uid::from_raw(uid), Uid::from_raw(uid), Uid::from_raw(uid))?;
    if part == "own-namespaces" {
        nix::sched::unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)?;
        // SAFETY: this process has one thread.
        unsafe { fork() }?;
    }
    nix::unistd::dup2_stdout(std::fs::File::open("/dev/null")?)?;
    match part.as_str() {
        "sleep" | "login-uid" | "contained" | "own-namespaces" => {}
        "setsid" => drop(nix::unistd::setsid()?),
        "nohup" => {
            // SAFETY: no handler is installed, the signal is ignored.
            unsafe {
                nix::sys::signal::signal(Signal::SIGHUP, nix::sys::signal::SigHandler::SigIgn)
            }?;
        }
        "stopped" => kill(Pid::this(), Signal::SIGSTOP)?,
        "zombie" => {
            // SAFETY: this process has one thread.
            if let ForkResult::Child = unsafe { fork() }? {
                std::process::exit(0);
            }
        }
        // Each forks its successor and is gone: whoever reads /proc sees only those that were.
        "forks" => loop {
            // SAFETY: this process has one thread.
            if let Ok(ForkResult::Parent { .. }) = unsafe { fork() } {
                std::process::exit(0);
            }
        },
        // Two that stop every process they may, again and again: the child, too, that comes to
        // signal them.
        "stops" => {
            // SAFETY: this process has one thread.
            unsafe { fork() }?;
            loop {
                let own = Pid::this().as_raw();
                for pid in (own - 50).max(2)..own + 200 {
                    if pid != own {
                        let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
                    }
                }
            }
        }
        // Its first thread ends while another goes on.
        "threads" => {
            std::thread::spawn(|| std::thread::sleep(Duration::from_secs(1000)));
            // SAFETY: exit(2) ends this thread only; nothing on its stack is used by the other.
            unsafe { nix::libc::syscall(nix::libc::SYS_exit, 0) };
        }
        other => return Err(format!("no such part: {other}").into()),
    }
    std::thread::sleep(Duration::from_secs(1000));
    Ok(())
}

fn start(part: &str, uid: u32) -> Result<Pid, Box<dyn Error>> {
    let launched = itself("launch").args([part, &uid.to_string()]).output()?;
    Ok(Pid::from_raw(
        String::from_utf8(launched.stdout)?.trim().parse()?,
    ))
}

fn alice() -> Subject {
    Subject {
        name: "alice".parse().expect("a name"),
        uid: ALICE,
        gid: ALICE,
        subuids: Vec::new(),
        scope: Scope::WholeUid,
        only: None,
    }
}

fn trials() -> Tested {
    let ender = Ender::new()?;
    let bystanders = [
        start("sleep", BOB)?,
        start("forks", BOB)?,
        start("login-uid", 0)?,
    ];
    let alive = |pid: Pid| kill(pid, None).is_ok();
    let login_uid_kept = std::path::Path::new("/proc/self/loginuid").exists();

    let quiet = trial(&ender, "nothing to end", 50, &[])?;
    check(quiet.ended.is_empty(), "nobody was there")?;
    let all = [
        "sleep", "setsid", "nohup", "stopped", "zombie", "threads", "forks", "sleep",
    ];
    trial(&ender, "one sleeper", 50, &["sleep"])?;
    trial(&ender, "self-forking", 50, &["forks"])?;
    trial(&ender, "one of each", 50, &all)?;
    trial(&ender, "100 processes", 10, &["sleep"; 100])?;
    trial(
        &ender,
        "stops who signals it",
        20,
        &["forks", "sleep", "stops"],
    )?;
    let report = trial(&ender, "first thread gone", 5, &["threads"])?;
    check(
        report.ended.len() == 1,
        "a process without its first thread is one",
    )?;

    check(alive(bystanders[0]), "bob's process lives")?;
    check(alive(bystanders[2]), "root's process lives")?;
    let bobs = ender.look(
        &Subject {
            uid: BOB,
            gid: BOB,
            ..alice()
        },
        SudoBorn::Skip,
    );
    check(
        bobs.processes.len() >= 2,
        "bob's self-forking process lives",
    )?;
    if login_uid_kept {
        let born: Vec<i32> = report.sudo_born.iter().map(|process| process.pid).collect();
        let pid = bystanders[2].as_raw();
        check(
            born == [pid],
            &format!("what sudo left is reported: {born:?}, not {pid}"),
        )?;
    }

    // Frozen, and let go again.
    start("sleep", ALICE)?;
    start("stopped", ALICE)?;
    std::thread::sleep(Duration::from_millis(50));
    let frozen = ender.freeze(&alice())?;
    check(
        frozen.running.is_empty() && frozen.before.processes.len() == 2,
        "both are frozen",
    )?;
    let states = |ender: &Ender| -> String {
        let look = ender.look(&alice(), SudoBorn::Skip);
        look.processes.iter().map(|process| process.state).collect()
    };
    // One in a system call that cannot be interrupted does nothing either, and stops after it.
    let begun = Instant::now();
    while states(&ender) != "TT" {
        check(
            begun.elapsed() < Duration::from_secs(5),
            &format!("both are stopped: {}", states(&ender)),
        )?;
        std::thread::sleep(Duration::from_millis(1));
    }
    ender.thaw(&alice(), Some(&frozen));
    // Going on it may be seen running or asleep; the one that had stopped itself stays so.
    let now = states(&ender);
    check(
        now.len() == 2 && now.matches('T').count() == 1,
        &format!("one goes on: {now}"),
    )?;
    ender.end(&alice(), None, SudoBorn::Skip)?;

    // Rootless containers: uids of the account's range. Other containers: its uid by chance.
    let of_range = start("own-namespaces", ALICE_SUB + 500)?;
    // Nobody gets such a uid without a namespace: it is somebody else's.
    let outside = start("sleep", ALICE_SUB + 600)?;
    let of_nobody = start("sleep", ALICE_SUB + 70_000)?;
    start("sleep", ALICE)?;
    let contained = start("contained", ALICE)?;
    let own_namespaces = start("own-namespaces", ALICE)?;
    let subject = Subject {
        subuids: vec![(ALICE_SUB, 65_536)],
        ..alice()
    };
    let look = ender.look(&subject, SudoBorn::Skip);
    check(
        look.contained.len() == 1,
        &format!("one is contained: {look:?}"),
    )?;
    let report = ender.end(&subject, None, SudoBorn::Skip)?;
    check(
        report.is_clean(),
        &format!("the account's are ended: {report:?}"),
    )?;
    check(
        !alive(of_range) && alive(of_nobody) && alive(outside),
        "of the ranges, only the account's",
    )?;
    check(
        alive(contained) && !alive(own_namespaces),
        "of containers, only the account's",
    )?;
    let look = ender.look(&subject, SudoBorn::Skip);
    check(
        look.contained.len() == 1 && look.is_clean(),
        "the contained one lives",
    )?;

    let root = Subject {
        uid: 0,
        gid: 0,
        ..alice()
    };
    check(
        ender.freeze(&root).is_err(),
        "root's processes are not frozen",
    )?;
    check(
        ender.end(&root, None, SudoBorn::Skip).is_err(),
        "root's processes are not ended",
    )?;
    Ok(())
}

/// Starts the parts, freezes and ends all that is alice's, `times` times.
fn trial(
    ender: &Ender,
    what: &str,
    times: usize,
    parts: &[&str],
) -> Result<EndReport, Box<dyn Error>> {
    let mut took = Vec::new();
    let mut looks = 0;
    let mut report = EndReport::default();
    for n in 0..times {
        for part in parts {
            start(part, ALICE)?;
        }
        std::thread::sleep(Duration::from_millis(20));
        let started = Instant::now();
        let frozen = ender.freeze(&alice())?;
        let freezing = started.elapsed();
        check(frozen.running.is_empty(), "nothing runs while it is frozen")?;
        report = ender.end(&alice(), Some(&frozen), SudoBorn::Seek)?;
        took.push((started.elapsed(), freezing));
        looks += report.looks;
        if !report.is_clean() {
            return Err(format!("{what}, trial {n}: {report:?}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
        let left = ender.look(&alice(), SudoBorn::Skip);
        check(
            left.is_clean(),
            &format!(
                "{what}, trial {n}: still there: {left:?}\nfrozen {frozen:?}\nreport {report:?}"
            ),
        )?;
    }
    took.sort();
    let ms = |(all, freezing): (Duration, Duration)| {
        format!(
            "{:.1} (freezing {:.1})",
            all.as_secs_f64() * 1e3,
            freezing.as_secs_f64() * 1e3
        )
    };
    println!(
        "{what}: {times} times, 0 left; median {} ms, longest {} ms, {} looks",
        ms(took[times / 2]),
        ms(took[times - 1]),
        looks / u32::try_from(times)?,
    );
    Ok(report)
}

fn check(holds: bool, what: &str) -> Tested {
    match holds {
        true => Ok(()),
        false => Err(format!("not so: {what}").into()),
    }
}
