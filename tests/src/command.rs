//! Commands that are always bounded in time and whose output is always kept.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// No command of a test may take longer than this unless it says so itself.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What a command that came to an end left behind.
#[derive(Clone)]
pub struct Ran {
    /// The command as it was given, for messages.
    pub what: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Everything it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// Everything it wrote to its standard error.
    pub stderr: Vec<u8>,
    /// Wall time from start to end.
    pub took: Duration,
}

impl Ran {
    /// Insists on exit status 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{self:?}");
        self
    }

    /// True on exit status 0.
    pub fn succeeded(&self) -> bool {
        self.status.success()
    }

    /// The exit code; a signal is reported as 128 + its number, as a shell does.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Standard output as text, without the white space at its end. Bytes that are not UTF-8 are
    /// replaced: use `stdout` where they matter.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// Standard error as text, likewise.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim_end().to_owned()
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {self:?}"),
        }
    }
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` ended with {} after {:?}",
            self.what, self.status, self.took
        )?;
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !bytes.is_empty() {
                write!(
                    f,
                    "\n--- {name}\n{}",
                    String::from_utf8_lossy(bytes).trim_end()
                )?;
            }
        }
        Ok(())
    }
}

/// Runs a command to its end with nothing on its standard input.
#[track_caller]
pub fn run(command: &mut Command) -> Ran {
    run_with(command, &[], PATIENCE)
}

/// Runs a command with `input` on its standard input; past `patience` it is killed and the test fails.
#[track_caller]
pub fn run_with(command: &mut Command, input: &[u8], patience: Duration) -> Ran {
    let what = describe(command);
    let begin = Instant::now();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("could not start `{what}`: {error}"),
    };
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // A command that does not read its input must not hold us up, nor is that a failure.
        thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let Some(status) = wait_for_end(&mut child, patience) else {
        let _ = child.kill();
        let _ = child.wait();
        panic!(
            "`{what}` did not end within {patience:?}\n--- stdout\n{}\n--- stderr\n{}",
            String::from_utf8_lossy(&stdout.take()),
            String::from_utf8_lossy(&stderr.take()),
        );
    };
    let took = begin.elapsed();
    Ran {
        what,
        status,
        stdout: stdout.take(),
        stderr: stderr.take(),
        took,
    }
}

/// Asks `question` until it answers `Some`, every few milliseconds, at most for `patience`.
#[track_caller]
pub fn wait_for<T>(what: &str, patience: Duration, mut question: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(
            begin.elapsed() < patience,
            "waited {patience:?} in vain for {what}"
        );
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Waits for the end of a child, `None` when it outlives `patience`.
pub fn wait_for_end(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let begin = Instant::now();
    let mut pause = Duration::from_micros(500);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if begin.elapsed() < patience => thread::sleep(pause),
            Ok(None) => return None,
            Err(error) => panic!("could not wait for process {}: {error}", child.id()),
        }
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// The bytes a reader thread has seen so far, and whether it has seen the end.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Collected {
    /// What was read. Something the command left running may hold the pipe open for ever, so the end
    /// of the pipe is waited for only a moment.
    fn take(mut self) -> Vec<u8> {
        if let Some(reader) = self.reader.take() {
            let begin = Instant::now();
            while !reader.is_finished() && begin.elapsed() < Duration::from_millis(500) {
                thread::sleep(Duration::from_micros(200));
            }
        }
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> Collected {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let reader = pipe.map(|mut pipe| {
        let bytes = Arc::clone(&bytes);
        thread::spawn(move || {
            let mut chunk = [0; 16 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                bytes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(&chunk[..count]);
            }
        })
    });
    Collected { bytes, reader }
}

fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_status_are_kept() {
        let ran = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]));
        assert_eq!(
            (ran.code(), ran.text(), ran.errors()),
            (3, "out".into(), "err".into())
        );
    }

    #[test]
    fn input_is_handed_over() {
        let ran = run_with(&mut Command::new("cat"), b"one\ntwo\n", PATIENCE).ok();
        assert_eq!(ran.stdout, b"one\ntwo\n");
    }

    #[test]
    #[should_panic(expected = "did not end within")]
    fn a_command_that_hangs_is_ended() {
        run_with(
            Command::new("sleep").arg("100"),
            &[],
            Duration::from_millis(50),
        );
    }

    #[test]
    fn a_grandchild_that_holds_the_pipe_does_not_hold_us() {
        let begin = Instant::now();
        let ran = run(Command::new("sh").args(["-c", "sleep 20 & echo started"]));
        assert_eq!(ran.text(), "started");
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}
