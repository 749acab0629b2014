//! Asking another program, with a deadline and a limit on what it may say.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The most that is kept of what a program prints.
const OUTPUT_BYTES_MAX: u64 = 256 * 1024;

/// What a program answered.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, cut off at 256 KiB. May hold secrets (`getent shadow`).
    pub stdout: zeroize::Zeroizing<Vec<u8>>,
}

/// Why a program gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// It is not on this host.
    #[error("{0} is not installed")]
    Missing(String),
    /// It did not end in time and was ended.
    #[error("{program} did not answer within {ms} ms")]
    Late {
        /// The program.
        program: String,
        /// The deadline.
        ms: u128,
    },
    /// It could not be started or read.
    #[error("{program}: {source}")]
    Io {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The most that a program is given to read: what a pipe holds, so that nobody waits for it.
pub const INPUT_BYTES_MAX: usize = 4096;

/// Runs a program found in the system's own directories, with an empty environment and no input.
pub fn ask(program: &str, arguments: &[&OsStr], deadline: Duration) -> Result<Answer, NoAnswer> {
    ask_of(program, arguments, b"", deadline)
}

/// The same with something to read, at most [`INPUT_BYTES_MAX`].
pub fn ask_of(
    program: &str,
    arguments: &[&OsStr],
    input: &[u8],
    deadline: Duration,
) -> Result<Answer, NoAnswer> {
    let failed = |source| NoAnswer::Io {
        program: program.into(),
        source,
    };
    let path = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin"]
        .iter()
        .map(|dir| std::path::Path::new(dir).join(program))
        .find(|path| path.is_file())
        .ok_or_else(|| NoAnswer::Missing(program.into()))?;
    let stdin = match input {
        [] => Stdio::null(),
        input if input.len() <= INPUT_BYTES_MAX => {
            let (reads, mut writes) = std::io::pipe().map_err(failed)?;
            writes.write_all(input).map_err(failed)?;
            reads.into()
        }
        _ => return Err(failed(std::io::ErrorKind::InvalidInput.into())),
    };
    let mut child = Command::new(path)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let until = Instant::now() + deadline;
    let answered = read_until(&mut child, until).and_then(|stdout| {
        Ok(wait_until(&mut child, until)?.map(|status| Answer { status, stdout }))
    });
    match answered {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => {
            end(&mut child);
            Err(NoAnswer::Late {
                program: program.into(),
                ms: deadline.as_millis(),
            })
        }
        Err(source) => {
            end(&mut child);
            Err(failed(source))
        }
    }
}

/// Reads what the child prints until it closes its output or time is up.
fn read_until(child: &mut Child, until: Instant) -> std::io::Result<zeroize::Zeroizing<Vec<u8>>> {
    let mut out = zeroize::Zeroizing::new(Vec::new());
    let Some(stdout) = child.stdout.take() else {
        return Ok(out);
    };
    let mut stdout = std::fs::File::from(OwnedFd::from(stdout));
    let mut chunk = zeroize::Zeroizing::new([0; 4096]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut waiting = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, timeout) {
            Ok(0) => return Ok(out),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match stdout.read(&mut chunk[..])? {
            0 => return Ok(out),
            count if (out.len() as u64) < OUTPUT_BYTES_MAX => {
                out.extend_from_slice(&chunk[..count]);
            }
            // Read on, so that the child is not stopped by a full pipe, but keep no more.
            _ => {}
        }
    }
}

fn wait_until(child: &mut Child, until: Instant) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn end(child: &mut Child) {
    // It is our own child and not yet waited for, so its pid cannot be another's.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(program: &str, arguments: &[&str]) -> Result<Answer, NoAnswer> {
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        ask(program, &arguments, Duration::from_millis(300))
    }

    #[test]
    fn an_answer_a_failure_and_a_silence_are_told_apart() {
        let answer = run("sh", &["-c", "echo hello; exit 3"]).unwrap();
        assert_eq!(answer.stdout.as_slice(), b"hello\n");
        assert_eq!(answer.status.code(), Some(3));
        assert!(matches!(run("sleep", &["5"]), Err(NoAnswer::Late { .. })));
        assert!(matches!(
            run("no-such-program", &[]),
            Err(NoAnswer::Missing(_))
        ));
    }

    #[test]
    fn a_flood_is_cut_off() {
        let answer = run("sh", &["-c", "head -c 3000000 /dev/zero"]).unwrap();
        assert!(answer.stdout.len() as u64 <= OUTPUT_BYTES_MAX + 4096);
    }
}
