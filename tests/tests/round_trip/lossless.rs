//! Readers that keep the file: what they were given and what they hold is the same.

use rescind_agent::deferred::anacrontab::Anacrontab;
use rescind_agent::deferred::crontab::{Crontab, Format};
use rescind_agent::deferred::unit_syntax::UnitText;
use rescind_agent::host::group::Group;
use rescind_agent::host::gshadow::Gshadow;
use rescind_agent::host::lines::Lines;
use rescind_agent::host::passwd::Passwd;
use rescind_agent::host::shadow::Shadow;
use rescind_agent::rights::doas_conf::DoasConf;
use rescind_agent::rights::polkit_files;
use rescind_agent::sshd::authorized_keys::KeyFile;
use rescind_agent::sshd::k5login::Principals;
use rescind_agent::sshd::rhosts::Rhosts;

/// Reads a file and prints it.
type Print = fn(&[u8]) -> Vec<u8>;

/// Each with its name.
pub const LOSSLESS: &[(&str, Print)] = &[
    ("passwd", |file| {
        Passwd::parse(file.to_vec()).to_bytes().to_vec()
    }),
    ("shadow", |file| {
        Shadow::parse(file.to_vec()).to_bytes().to_vec()
    }),
    ("group", |file| {
        Group::parse(file.to_vec()).to_bytes().to_vec()
    }),
    ("gshadow", |file| {
        Gshadow::parse(file.to_vec()).to_bytes().to_vec()
    }),
    ("authorized_keys", |file| {
        KeyFile::parse(file).bytes().to_vec()
    }),
    ("crontab", |file| {
        Crontab::parse(file.to_vec(), Format::User)
            .to_bytes()
            .to_vec()
    }),
    ("crontab of the system", |file| {
        Crontab::parse(file.to_vec(), Format::System)
            .to_bytes()
            .to_vec()
    }),
    ("anacrontab", |file| {
        Anacrontab::parse(file.to_vec()).to_bytes().to_vec()
    }),
    ("doas.conf", |file| {
        DoasConf::parse(file.to_vec()).to_bytes().to_vec()
    }),
    ("polkit's key files", |file| {
        polkit_files::KeyFile::parse(file.to_vec())
            .to_bytes()
            .to_vec()
    }),
    ("unit files", |file| {
        UnitText::parse(file.to_vec()).to_bytes().to_vec()
    }),
    (".rhosts", |file| {
        Rhosts::parse(file.to_vec()).to_bytes().to_vec()
    }),
    (".k5login", |file| {
        Principals::parse(file.to_vec()).to_bytes().to_vec()
    }),
    ("lines", lines_of),
];

/// Where they are.
pub const FILES: &[&str] = &[
    "deferred/anacrontab.rs",
    "deferred/crontab.rs",
    "deferred/unit_syntax.rs",
    "host/group.rs",
    "host/gshadow.rs",
    "host/passwd.rs",
    "host/shadow.rs",
    "rights/doas_conf.rs",
    "rights/polkit_files.rs",
    "sshd/k5login.rs",
    "sshd/rhosts.rs",
];

/// Line by line, so that each byte belongs to exactly one of them.
fn lines_of(file: &[u8]) -> Vec<u8> {
    let lines = Lines::parse(file.to_vec());
    let mut bytes = Vec::with_capacity(file.len());
    for (number, line) in (1..).zip(lines.iter()) {
        bytes.extend_from_slice(line);
        if number < lines.len() || file.ends_with(b"\n") {
            bytes.push(b'\n');
        }
    }
    bytes
}
