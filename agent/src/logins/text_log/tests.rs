use std::fs;
use std::time::{Duration, Instant, SystemTime};

use super::*;

/// A host that is a directory; gone with its value.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Self {
        let name = format!("rescind-text-log-{name}-{}", std::process::id());
        let root = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(root.0.join("var/log")).unwrap();
        root
    }

    /// Writes a file that was last written to so many seconds after 1970.
    fn write(&self, name: &str, text: &str, modified_s: u64) {
        let path = self.0.join("var/log").join(name);
        fs::write(&path, text).unwrap();
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(modified_s))
            .unwrap();
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn look(logs: &mut TextLogs, root: &Root) -> (Vec<String>, TextReach) {
    let mut seen = Vec::new();
    let host = HostRoot::at(&root.0).unwrap();
    let deadline = Deadline(Instant::now() + Duration::from_secs(20));
    let reach = logs.look(&host, Some("web1"), deadline, |login| {
        let from = login.from.as_deref().unwrap_or("-");
        seen.push(format!("{} {} {from}", login.at, login.account));
    });
    (seen, reach)
}

/// 2026-01-02T00:00:00Z
const NEW_YEAR: u64 = 1_767_312_000;

#[test]
fn rotated_files_are_one_record() {
    let root = Root::new("rotated");
    root.write(
        "auth.log.1",
        "Dec 30 10:00:00 web1 CRON[3]: pam_unix(cron:session): session opened\n\
         Dec 30 11:00:00 web1 sshd[4]: Accepted password for alice from 10.0.0.1 port 1 ssh2\n\
         Dec 31 11:00:00 web1 sshd[4]: Failed password for alice from 10.0.0.1 port 1 ssh2\n",
        NEW_YEAR - 86_400,
    );
    root.write(
        "auth.log",
        "Dec 31 23:59:59 web1.example.org sshd-session[5]: Accepted password for bob from 10.0.0.2 port 1 ssh2\n\
         Jan  1 00:00:01 web2 sshd[5]: Accepted password for carol from 10.0.0.3 port 1 ssh2\n\
         2026-01-01T12:00:00+02:00 web1 sshd[5]: Accepted password for dave from 10.0.0.4 port 1 ssh2\n\
         Jan  1 13:00:00 web1 foo: sshd[5]: Accepted password for root from 6.6.6.6 port 1 ssh2\n\
         Jan  1 13:00:00 web1 xsshd[5]: Accepted password for root from 6.6.6.6 port 1 ssh2\n\
         Jan  1 14:00:00 web1 sshd[6]: Accepted password for eve",
        NEW_YEAR,
    );
    root.write("auth.log.2.gz", "x", NEW_YEAR);
    root.write("auth.log.bak", "x", NEW_YEAR);
    let mut logs = TextLogs::default();
    let (seen, reach) = look(&mut logs, &root);
    assert_eq!(
        seen,
        [
            "2026-01-01T10:00:00.000Z dave 10.0.0.4",
            "2025-12-31T23:59:59.000Z bob 10.0.0.2",
            "2025-12-30T11:00:00.000Z alice 10.0.0.1",
        ]
    );
    assert_eq!(reach.files, ["/var/log/auth.log", "/var/log/auth.log.1"]);
    assert_eq!(reach.packed, ["/var/log/auth.log.2.gz"]);
    assert_eq!(reach.since.unwrap().to_string(), "2025-12-30T10:00:00.000Z");
    assert!(
        reach.whole && reach.of_others == 1 && reach.troubles.is_empty(),
        "{reach:?}"
    );

    // The line that was not whole is now; then the file is rotated, and cut off in place.
    let path = root.0.join("var/log/auth.log");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str(" from 10.0.0.5 port 1 ssh2\n");
    root.write("auth.log", &text, NEW_YEAR);
    assert_eq!(
        look(&mut logs, &root).0,
        ["2026-01-01T14:00:00.000Z eve 10.0.0.5"]
    );
    fs::rename(&path, root.0.join("var/log/auth.log.3")).unwrap();
    root.write("auth.log", "", NEW_YEAR + 10);
    assert_eq!(look(&mut logs, &root).0, [""; 0]);
    root.write(
        "auth.log.3",
        "Jan  1 15:00:00 web1 sshd[6]: Accepted none for guest from UNKNOWN port 1 ssh2\n",
        NEW_YEAR,
    );
    assert_eq!(
        look(&mut logs, &root).0,
        ["2026-01-01T15:00:00.000Z guest -"]
    );
}

#[test]
fn without_files_of_its_own_it_is_with_everything_else() {
    let root = Root::new("everything");
    root.write(
        "messages",
        "Jan  1 15:00:00 web1 auth.info sshd[6]: Accepted none for guest from UNKNOWN port 1 ssh2\n",
        NEW_YEAR,
    );
    let (seen, _) = look(&mut TextLogs::default(), &root);
    assert_eq!(seen.len(), 1);
    root.write("secure", "", NEW_YEAR);
    let (seen, reach) = look(&mut TextLogs::default(), &root);
    assert_eq!((seen.len(), reach.files.len()), (0, 1));
}

#[test]
fn what_is_no_text_does_no_harm() {
    let root = Root::new("ugly");
    let path = root.0.join("var/log/auth.log");
    let mut bytes =
        b"Accepted \nAccepted Accepted \n\nJan  1 15:00:00 web1 sshd[6]: Accepted ".to_vec();
    bytes.extend((0..100_000_u32).map(|n| (n * 7919 % 256) as u8));
    bytes.extend_from_slice(
        b"\nJan  1 15:00:00 web1 sshd[6]: Accepted none for \xff\xfe from UNKNOWN port 1 ssh2\n\
          Jan  1 15:00:00 web1 sshd[6]: Accepted none for guest from ::1 port 1 ssh2\r\n",
    );
    fs::write(&path, &bytes).unwrap();
    let (seen, _) = look(&mut TextLogs::default(), &root);
    assert_eq!(seen.len(), 1, "{seen:?}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let (_, reach) = look(&mut TextLogs::default(), &root);
    assert_eq!((reach.troubles.len(), reach.whole), (1, false), "{reach:?}");
}
