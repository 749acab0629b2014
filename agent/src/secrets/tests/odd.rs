//! Bytes that are no such file, or that are made to take long.

use super::super::note::File;
use super::super::{Kind, places, recognise};
use super::read_once;

#[test]
fn no_bytes_are_too_odd() {
    let odd: [&[u8]; 8] = [
        b"",
        b"\0",
        &[0xff; 4096],
        b"-----BEGIN ",
        b"{\"a\":",
        b"\x30\x84\xff\xff\xff\xff",
        b"openssh-key-v1\0\0\0\0\x04none",
        b"= = = [ [[ ] ]] : - - < > \" ' \\ \n\\",
    ];
    let places = places::HOME.iter().chain(places::SYSTEM);
    for place in places {
        for bytes in odd {
            if let Some(read) = place.read {
                read_once(read, "/x/id_rsa", bytes);
            }
        }
    }
    assert!(Kind::ALL.len() >= 60);
}

/// Users choose what is in their files; none may keep the survey from the next.
#[test]
fn no_file_takes_long() {
    let patterns: [&[u8]; 21] = [
        b"a ",
        b"{\"",
        b"{\"a\":[",
        b"{\"auths\":{\"a\":{\"auth\":\"YTpi\"}},",
        b"- ",
        b"users:\n- name: a\n  user:\n    token: b\n",
        b"- name: a\n",
        b"a: |\n b\n",
        b"[a]\nsecret_key=b\n",
        b"PASSWORD=x \\\n",
        b"Environment=A_TOKEN=xyz123\\\n",
        b"EnvironmentFile=/a\nIdentityFile b\n",
        b"-----BEGIN A PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"<server><password>a</password>",
        b"<a b='c' ",
        b"machine a login b password c\n",
        b"a:b:c:d:e\n",
        b"https://a:b@c\n",
        b"\x95\x01\x04",
        b"\0\0\0\x02\0\0",
    ];
    let places = places::HOME.iter().chain(places::SYSTEM);
    let mut readers: Vec<recognise::Recogniser> = Vec::new();
    for read in places.filter_map(|place| place.read) {
        if readers
            .iter()
            .all(|known| !std::ptr::fn_addr_eq(*known, read))
        {
            readers.push(read);
        }
    }
    assert!(readers.len() > 50);
    for head in [
        &b""[..],
        b"SQLite format 3\0",
        b"[a]\n",
        b"\x05\x02",
        b"users:\n",
    ] {
        // After a head that one reader wants, only the patterns that it could mind.
        let few = if head.is_empty() { patterns.len() } else { 6 };
        for pattern in &patterns[..few] {
            let bytes = [head, &pattern.repeat((64 << 10) / pattern.len())].concat();
            for read in &readers {
                let started = own_time();
                read(
                    &File {
                        path: b"/x/a.json",
                        bytes: &bytes,
                    },
                    &mut |_| {},
                );
                let took = own_time() - started;
                // A debug build takes a hundredth of it; what is quadratic takes far longer.
                assert!(
                    took.as_secs() < 5,
                    "{took:?} for {}",
                    pattern.escape_ascii()
                );
            }
        }
    }
}

/// How long this thread has run: what others do on the machine does not count.
fn own_time() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos = text.split(' ').next().unwrap().parse().unwrap();
    std::time::Duration::from_nanos(nanos)
}
