//! `seeds.txt`, read and sown.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use rescind_tests::{Canaries, letters, random};

use crate::makers::Makers;

/// Accounts of the host.
pub const ACCOUNTS: usize = 500;
/// The first one's uid.
pub const UID: u32 = 70_000;

/// A file to be sown, so many times.
struct Seed {
    count: usize,
    /// It goes where the one before went.
    with: bool,
    home: bool,
    path: String,
    mode: u32,
    finds: Vec<(String, Option<String>)>,
    decoy: bool,
    content: String,
}

/// What must be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub account: Option<String>,
    pub path: String,
    pub kind: String,
    pub label: Option<String>,
    /// The fingerprint that the tool which made the key says it has.
    pub mark: Option<String>,
}

/// What was sown.
pub struct Sown {
    pub expected: Vec<Expected>,
    pub decoys: usize,
    pub canaries: Canaries,
}

/// The name of an account.
pub fn account(n: usize) -> String {
    format!("user{n}")
}

fn wrong(number: usize, line: &str) -> ! {
    panic!("seeds.txt:{number} is not understood: {line}")
}

fn read() -> Vec<Seed> {
    let mut seeds: Vec<Seed> = Vec::new();
    let mut in_head = false;
    for (number, line) in (1..).zip(include_str!("seeds.txt").split('\n')) {
        if let Some(head) = line.strip_prefix("=== ") {
            let words: Vec<&str> = head.split(' ').collect();
            let (count, with, rest) = match words.as_slice() {
                ["with", rest @ ..] => (
                    seeds.last().unwrap_or_else(|| wrong(number, line)).count,
                    true,
                    rest,
                ),
                [count, "x", rest @ ..] => (
                    count.parse().unwrap_or_else(|_| wrong(number, line)),
                    false,
                    rest,
                ),
                _ => wrong(number, line),
            };
            let (place, path, mode) = match rest {
                [place, path] => (*place, *path, "0644"),
                [place, path, mode] => (*place, *path, *mode),
                _ => wrong(number, line),
            };
            seeds.push(Seed {
                count,
                with,
                home: match place {
                    "home" => true,
                    "system" => false,
                    _ => wrong(number, line),
                },
                path: path.to_owned(),
                mode: u32::from_str_radix(mode, 8).unwrap_or_else(|_| wrong(number, line)),
                finds: Vec::new(),
                decoy: false,
                content: String::new(),
            });
            in_head = true;
        } else if let Some(seed) = seeds.last_mut() {
            match line {
                "---" if in_head => in_head = false,
                _ if !in_head => {
                    if !line.starts_with("# -----") {
                        seed.content.push_str(line);
                        seed.content.push('\n');
                    }
                }
                _ => match line.split_once(' ') {
                    Some(("finds", rest)) => seed.finds.push(match rest.split_once(' ') {
                        Some((kind, label)) => (kind.to_owned(), Some(label.to_owned())),
                        None => (rest.to_owned(), None),
                    }),
                    Some(("decoy", _)) => seed.decoy = true,
                    _ => wrong(number, line),
                },
            }
        }
    }
    assert!(
        seeds.iter().all(|seed| seed.decoy == seed.finds.is_empty()),
        "a seed finds, or is a decoy"
    );
    seeds
}

/// Makes a host below `root`.
pub fn sow(root: &Path, scratch: &Path) -> Sown {
    let mut sown = Sown {
        expected: Vec::new(),
        decoys: 0,
        canaries: Canaries::new(),
    };
    host_files(root);
    let mut makers = Makers::new(scratch);
    let mut used: HashSet<(usize, String)> = HashSet::new();
    let mut places: Vec<usize> = Vec::new();
    let mut turn = 0;
    for seed in read() {
        if !seed.with {
            places.clear();
        }
        for n in 0..seed.count {
            if !seed.with {
                // Spread over all homes; a home has one file of a name.
                turn = (turn + 7) % ACCOUNTS;
                while seed.home && used.contains(&(turn, seed.path.clone())) {
                    turn = (turn + 1) % ACCOUNTS;
                }
                places.push(turn);
            }
            let place = places[n];
            assert!(
                !seed.home || used.insert((place, seed.path.clone())),
                "{} twice",
                seed.path
            );
            one(&seed, n + 1, place, root, &mut makers, &mut sown);
        }
    }
    sown
}

fn one(seed: &Seed, n: usize, place: usize, root: &Path, makers: &mut Makers, sown: &mut Sown) {
    let user = account(place);
    let mut filling = Filling {
        user: &user,
        n,
        makers,
        canaries: &mut sown.canaries,
        mark: None,
    };
    let path = String::from_utf8(filling.fill(&seed.path)).expect("paths are text");
    let path = match seed.home {
        true => format!("/home/{user}/{path}"),
        false => format!("/{path}"),
    };
    filling.mark = None;
    let bytes = filling.fill(&seed.content);
    let mark = filling.mark.take().filter(|_| seed.finds.len() == 1);
    for (kind, label) in &seed.finds {
        let label = label
            .as_ref()
            .map(|label| String::from_utf8(filling.fill(label)).expect("labels are text"));
        sown.expected.push(Expected {
            account: seed.home.then(|| user.clone()),
            path: path.clone(),
            kind: kind.clone(),
            label: label.map(|label| match kind.as_str() {
                // The maker has its own names.
                "gcp_user_credential" if label.contains('@') => {
                    format!("user{}@fake.invalid", n % 6)
                }
                _ => label,
            }),
            mark: mark.clone(),
        });
    }
    sown.decoys += usize::from(seed.decoy);
    let owner = if seed.home { owner_of(place) } else { None };
    write(root, &path, &bytes, seed.mode, owner);
}

/// As whom the files of an account lie there; without root all are ours.
fn owner_of(place: usize) -> Option<u32> {
    nix::unistd::geteuid()
        .is_root()
        .then(|| UID + u32::try_from(place).expect("few accounts"))
}

/// Writes a file and the directories above it, which get its owner from the home on.
pub fn write(root: &Path, path: &str, bytes: &[u8], mode: u32, owner: Option<u32>) {
    let file = root.join(path.trim_start_matches('/'));
    let mut dir = root.to_owned();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    for (depth, part) in parts[..parts.len() - 1].iter().enumerate() {
        dir.push(part);
        if !dir.exists() {
            fs::create_dir(&dir).expect("a directory");
            fs::set_permissions(&dir, Permissions::from_mode(0o755)).expect("its mode");
            if depth > 0 {
                chown(&dir, owner, owner).expect("its owner");
            }
        }
    }
    fs::write(&file, bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    fs::set_permissions(&file, Permissions::from_mode(mode)).expect("its mode");
    chown(&file, owner, owner).expect("its owner");
}

/// The account files, and an sshd to read a configuration.
fn host_files(root: &Path) {
    let mut passwd =
        "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
                      nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
            .to_owned();
    let mut group = "root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n".to_owned();
    let mut shadow = "root:*:19000:0:99999:7:::\n".to_owned();
    let own = nix::unistd::geteuid().as_raw();
    for place in 0..ACCOUNTS {
        let (name, uid) = (account(place), owner_of(place).unwrap_or(own));
        passwd.push_str(&format!("{name}:x:{uid}:{uid}::/home/{name}:/bin/bash\n"));
        group.push_str(&format!("{name}:x:{uid}:\n"));
        shadow.push_str(&format!("{name}:!:19000:0:99999:7:::\n"));
    }
    for (path, text, mode) in [
        ("etc/passwd", passwd.as_str(), 0o644),
        ("etc/group", group.as_str(), 0o644),
        ("etc/shadow", shadow.as_str(), 0o640),
        ("etc/ssh/sshd_config", "UsePAM yes\n", 0o644),
        ("usr/sbin/sshd", "OpenSSH_9.2p1 Debian-2+deb12u7", 0o755),
    ] {
        write(root, path, text.as_bytes(), mode, None);
    }
    for place in 0..ACCOUNTS {
        write(
            root,
            &format!("home/{}/.bash_logout", account(place)),
            b"clear\n",
            0o644,
            owner_of(place),
        );
    }
}

/// Fills what stands in braces.
struct Filling<'f> {
    user: &'f str,
    n: usize,
    makers: &'f mut Makers,
    canaries: &'f mut Canaries,
    mark: Option<String>,
}

impl Filling<'_> {
    fn fill(&mut self, text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            out.extend_from_slice(&rest.as_bytes()[..open]);
            let inner = &rest[open + 1..];
            let filled = inner
                .find('}')
                .and_then(|close| Some((self.value(&inner[..close])?, close)));
            match filled {
                Some((bytes, close)) => {
                    out.extend(bytes);
                    rest = &inner[close + 1..];
                }
                None => {
                    out.push(b'{');
                    rest = inner;
                }
            }
        }
        out.extend_from_slice(rest.as_bytes());
        out
    }

    fn value(&mut self, what: &str) -> Option<Vec<u8>> {
        let (name, how) = what.split_once(':').unwrap_or((what, ""));
        let len = || how.parse::<usize>().ok();
        Some(match name {
            "user" => self.user.as_bytes().to_vec(),
            "n" => self.n.to_string().into_bytes(),
            "secret" => self.canary(letters(len().unwrap_or(40)).into_bytes()),
            "hex" => {
                let bytes = random(len()?.div_ceil(2));
                self.canary(
                    bytes
                        .iter()
                        .map(|byte| format!("{byte:02x}"))
                        .collect::<String>()
                        .into_bytes(),
                )
            }
            "base64" => {
                let bytes = random(len()?);
                self.canaries.add(&bytes);
                self.canary(STANDARD.encode(bytes).into_bytes())
            }
            "login" => {
                let secret = letters(24);
                self.canaries.add(secret.as_bytes());
                STANDARD
                    .encode(format!("{}:{secret}", self.user))
                    .into_bytes()
            }
            "made" | "json" | "base64of" => {
                let made = self.makers.get(how, self.n);
                for secret in &made.secret {
                    self.canaries.add(secret);
                }
                self.mark = made.mark.clone().or(self.mark.take());
                match name {
                    "json" => String::from_utf8_lossy(&made.bytes)
                        .replace('\n', "\\n")
                        .into_bytes(),
                    "base64of" => STANDARD.encode(&made.bytes).into_bytes(),
                    _ => made.bytes,
                }
            }
            _ => return None,
        })
    }

    fn canary(&mut self, value: Vec<u8>) -> Vec<u8> {
        self.canaries.add(&value);
        value
    }
}
