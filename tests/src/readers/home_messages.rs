//! What root's process and its child that reads homes say to each other. The child may have been
//! taken over by the owner of a home: what it answers is as hostile as the home.

use minicbor::Encode;
use rescind_agent::escalation::ground::{FILE, Wants, grip};
use rescind_agent::home::{
    Answer, Ask, Content, Entry, FileBytes, FileFacts, FileKind, HomeError, Ids, List, Listing,
    Look, Looked, NotOwners, Part, Read, Replace, Reply, Request, Seen, Sending, Step, Trace, Why,
};
use rescind_protocol::cbor;

use super::Target;
use super::alice::alice;
use super::told::is_told_safely;

pub const TARGET: Target = Target {
    name: "home_messages",
    read,
    words: &[
        "\0",
        "\u{1}",
        "\x02",
        "\x0f",
        "\x18",
        "\x1a\0\0\u{3}\0",
        "\x1b\0\0\0\0",
        "\x40",
        "\x45/home",
        "\x58",
        "\x5a\0",
        "\x60",
        "\x7a",
        "\x5f",
    ],
    made,
    rooms: &[
        "agent/src/home/message.rs",
        "agent/src/home/looked.rs",
        "agent/src/home/why.rs",
    ],
};

fn read(bytes: &[u8]) {
    match cbor::from_slice::<Reply>(bytes) {
        Ok(reply) => {
            let again = cbor::to_vec(&reply);
            assert_eq!(
                cbor::from_slice::<Reply>(&again).ok().as_ref(),
                Some(&reply)
            );
            match reply {
                Reply::Not(why) => {
                    let error = HomeError {
                        path: b"/home/alice/\x1b".to_vec(),
                        why,
                    };
                    is_told_safely(&error.to_string());
                }
                Reply::Done(Answer::Traced(looked)) => way(&looked),
                Reply::Done(_) => {}
            }
        }
        Err(why) => is_told_safely(&why.to_string()),
    }
    match cbor::from_slice::<Request>(bytes) {
        Ok(request) => {
            let again = match &request {
                Request::Look(many, sending) => to_vec(Ask::Look(many, *sending)),
                Request::Replace(one) => to_vec(Ask::Replace(one)),
                Request::Trace(many) => to_vec(Ask::Trace(many)),
                Request::Stamp(many, settled) => to_vec(Ask::Stamp(many, *settled)),
            };
            assert_eq!(cbor::from_slice::<Request>(&again).ok(), Some(request));
        }
        Err(why) => is_told_safely(&why.to_string()),
    }
}

/// A way has an end, whatever the child says of it, and so has everything that follows it.
fn way(looked: &Looked) {
    let names: usize = looked.parts.iter().map(|part| part.name.len() + 1).sum();
    for part in (0..).zip(&looked.parts).map(|(place, _)| place).take(64) {
        assert!(looked.path(part).len() <= names.max(1));
    }
    let into = Wants { into: true, ..FILE };
    for wants in [FILE, into] {
        if let Some(grip) = grip(&alice(), looked, wants) {
            is_told_safely(&grip.in_words(b"/etc/x"));
        }
    }
}

fn to_vec(ask: impl Encode<()>) -> Vec<u8> {
    cbor::to_vec(&ask)
}

fn made() -> Vec<Vec<u8>> {
    let owner = Ids {
        uid: 1000,
        gid: 1000,
        groups: vec![1000, 27],
    };
    let (mtime, ctime) = ((1, 2), (3, -4));
    let facts = FileFacts {
        uid: 1000,
        gid: 1000,
        mode: 0o600,
        nlink: 1,
        size: 6,
        dev: 8,
        inode: 9,
        mtime,
        ctime,
    };
    let content = Content {
        bytes: FileBytes(b"# key\n".to_vec().into()),
        facts,
        real_path: b"/home/alice/.ssh/authorized_keys".to_vec(),
        links: 0,
        dirs: Vec::new(),
        home_at: Some(1),
    };
    let read = Read {
        owner: owner.clone(),
        path: b"/home/alice/x".to_vec(),
        home: None,
        max_bytes: 4096,
    };
    let replace = Replace {
        owner: owner.clone(),
        path: b"/home/alice/x".to_vec(),
        expected: facts,
        bytes: b"new".to_vec(),
    };
    let list = List {
        owner,
        path: b"/home/alice".to_vec(),
        max_entries: 10,
    };
    let listing = Listing {
        entries: vec![Entry {
            name: b".ssh".to_vec(),
            kind: FileKind::Directory,
            facts,
        }],
        more: true,
    };
    let trace = Trace {
        path: b"/etc/cron.d".to_vec(),
    };
    let part = |name: &[u8], within| Part {
        name: name.to_vec(),
        within,
        kind: FileKind::Directory,
        uid: 0,
        gid: 0,
        mode: 0o755,
        acl: vec![2, 0, 0, 0],
    };
    let circle = Looked {
        parts: vec![part(b"", None), part(b"a", Some(2)), part(b"b", Some(1))],
        end: Some(1),
        directory: 0,
        name: b"a".to_vec(),
    };
    let looked = Looked {
        parts: vec![part(b"", None), part(b"etc", Some(0))],
        end: Some(1),
        directory: 0,
        name: b"etc".to_vec(),
    };
    vec![
        cbor::to_vec(&Reply::Done(Answer::Seen(Seen::Content(content)))),
        cbor::to_vec(&Reply::Done(Answer::Replaced(facts))),
        cbor::to_vec(&Reply::Done(Answer::Seen(Seen::Listing(listing)))),
        cbor::to_vec(&Reply::Done(Answer::Traced(looked))),
        cbor::to_vec(&Reply::Done(Answer::Traced(circle))),
        cbor::to_vec(&Reply::Not(Why::Missing)),
        cbor::to_vec(&Reply::Not(Why::NotOwners(NotOwners::File(7)))),
        cbor::to_vec(&Reply::Not(Why::Io {
            step: Step::Read,
            errno: 5,
        })),
        cbor::to_vec(&Reply::Not(Why::Child("text".into()))),
        to_vec(Ask::Look(
            &[Look::Read(read), Look::List(list)],
            Sending::OneByOne,
        )),
        to_vec(Ask::Replace(&replace)),
        to_vec(Ask::Trace(&[trace])),
    ]
}
