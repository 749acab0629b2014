//! Where log lines go and how they look: standard error, one line each.
//!
//! Under systemd a line begins with its level as `<n>` (sd-daemon(3)) and has no time, the journal
//! adds both; elsewhere it begins with the time.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogLevel;

/// Starts logging. Called once; a second call changes nothing.
pub fn start(level: LogLevel) {
    let lines = Lines {
        journal: goes_to_journal(),
    };
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .event_format(lines)
        .finish();
    // An error says that somebody else has started logging already, as tests do.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Whether standard error is the journal's. The variable alone does not say: what a service starts
/// inherits it, with its standard error elsewhere (systemd.exec(5)).
fn goes_to_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = std::io::stderr();
    let found = stderr
        .as_fd()
        .try_clone_to_owned()
        .and_then(|fd| File::from(fd).metadata());
    found.is_ok_and(|found| stream == *format!("{}:{}", found.dev(), found.ino()))
}

struct Lines {
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        if self.journal {
            write!(out, "<{}>", priority(level))?;
        } else {
            SystemTime.format_time(&mut out)?;
            write!(out, " {level:<5} ")?;
        }
        let mut words = String::new();
        context
            .field_format()
            .format_fields(Writer::new(&mut words), event)?;
        // Names, paths and errors come from files and from the wire: none of them may begin a line
        // of its own (`<0>…`, a forged event) or move a terminal's cursor.
        for c in words.chars() {
            match c {
                c if c.is_control() => write!(out, "{}", c.escape_default())?,
                c => out.write_char(c)?,
            }
        }
        out.write_char('\n')
    }
}

/// syslog(3)'s number for a level.
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(journal: bool) -> String {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(Lines { journal })
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(server = "a:1", "gone\x1b[2J\n<0>forged");
            tracing::info!(error = %"x\n<0>y", "back");
        });
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn under_systemd_a_line_begins_with_its_level() {
        let got = lines(true);
        assert!(got.starts_with("<4>gone"), "{got}");
        assert!(got.contains("\n<6>back"), "{got}");
    }

    #[test]
    fn elsewhere_it_begins_with_the_time() {
        let got = lines(false);
        assert!(
            got.starts_with("20") && got.contains("Z WARN  gone"),
            "{got}"
        );
    }

    #[test]
    fn no_value_makes_a_line_of_its_own_or_moves_the_cursor() {
        let got = lines(true);
        assert!(!got.contains('\x1b'), "{got:?}");
        assert_eq!(got.lines().count(), 2, "{got:?}");
    }
}
