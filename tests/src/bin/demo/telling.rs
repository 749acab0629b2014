//! How the story is told: numbered steps, what was typed, what was printed, and the time it took.

use rescind_tests::Ran;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The story so far.
pub struct Story {
    began: Instant,
    step: u32,
}

impl Story {
    /// Begins to count the time.
    pub fn begin() -> Self {
        Self {
            began: Instant::now(),
            step: 0,
        }
    }

    /// A sentence without a number.
    pub fn say(&self, sentence: &str) {
        println!("{sentence}");
    }

    /// The heading of the next step.
    pub fn step(&mut self, heading: &str) {
        self.step += 1;
        println!("\n{:2}. {heading}", self.step);
    }

    /// Does something and tells what it was and how long it took.
    pub fn timed<T>(&self, what: &str, action: impl FnOnce() -> T) -> T {
        print!("    {what} ");
        let _ = std::io::stdout().flush();
        let begin = Instant::now();
        let result = action();
        println!("({})", millis(begin.elapsed()));
        result
    }

    /// Something that was seen.
    pub fn seen(&self, what: &str) {
        println!("    {what}");
    }

    /// Insists on what the story says, and tells it.
    pub fn check(&self, holds: bool, what: &str) {
        assert!(holds, "the story goes wrong here: not so: {what}");
        println!("    ✓ {what}");
    }

    /// A command as it was typed and what it printed.
    pub fn ran(&self, ran: &Ran) {
        println!("    $ {}   ({})", ran.what, millis(ran.took));
        for line in ran.text().lines().chain(ran.errors().lines()) {
            println!("      {line}");
        }
    }

    /// Runs a command and tells each line it prints as it comes.
    pub fn follow(&self, typed: &str, command: &mut Command) {
        println!("    $ {typed}");
        let begin = Instant::now();
        let mut child = match command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) => panic!("could not start `{typed}`: {error}"),
        };
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                println!("      {line}");
            }
        }
        match child.wait() {
            Ok(status) => assert!(status.success(), "`{typed}` ended with {status}"),
            Err(error) => panic!("could not wait for `{typed}`: {error}"),
        }
        println!("    ({})", millis(begin.elapsed()));
    }

    /// The last line.
    pub fn end(&self) {
        println!(
            "\nTold in {:.1} s; nothing of it is left on this machine.",
            self.began.elapsed().as_secs_f64()
        );
    }
}

/// Milliseconds, with a decimal where there are few of them.
pub fn millis(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.0} ms")
    }
}
