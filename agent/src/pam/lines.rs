//! The lines of a service for one of its tasks, with what they include.

use std::collections::BTreeMap;

use super::stack::Known;
use super::told;
use crate::host::lines::{Lines, number};

/// Gives the configuration of a service: the file of that name in `/etc/pam.d` or, where there is
/// none, in the vendor's directory. `Ok(None)` where there is neither.
pub trait PamFiles {
    /// Reads one; the error says why it cannot be read.
    fn read(&mut self, service: &[u8]) -> Result<Option<Vec<u8>>, String>;
}

/// The `account` lines of a service, or its `auth` lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stack {
    pub(super) steps: Vec<Step>,
    pub(super) known: Known,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Module(Module),
    /// A stack within the stack: what ends it does not end this one.
    Substack(Vec<Step>),
}

/// A module and what becomes of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    /// Its file as it is written.
    pub file: Vec<u8>,
    /// Its name without `.so`, where the file is the usual one: with a directory it may be any,
    /// without `.so` it is none that is there, and then this is empty.
    pub name: Vec<u8>,
    /// What it is told on its line.
    pub options: Vec<Vec<u8>>,
    /// The service in whose file the line stands, and which line that is, from 1.
    pub place: (Vec<u8>, u32),
    /// What becomes of each answer that is named (pam.conf(5), `[value=action]`).
    pub actions: BTreeMap<Vec<u8>, Action>,
    /// What becomes of the others.
    pub default: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Ignore,
    Ok,
    Done,
    Bad,
    Die,
    Reset,
    Jump(usize),
}

/// More includes within includes than libpam itself follows.
const DEPTH_MAX: usize = 16;
/// More lines than any stack has.
const STEPS_MAX: usize = 4096;
/// More than all files of a stack come to, each as often as it is included.
const BYTES_MAX: usize = 4 << 20;

/// Reads the `account` lines of a service, which say whether an account may be used now.
pub fn account_stack(service: &[u8], files: &mut dyn PamFiles) -> Result<Stack, String> {
    stack(b"account", service, files)
}

/// Reads the `auth` lines of a service, which say who somebody is.
pub fn auth_stack(service: &[u8], files: &mut dyn PamFiles) -> Result<Stack, String> {
    stack(b"auth", service, files)
}

fn stack(task: &'static [u8], service: &[u8], files: &mut dyn PamFiles) -> Result<Stack, String> {
    let mut reading = Reading {
        task,
        files,
        steps: 0,
        bytes: 0,
    };
    let mut steps = Vec::new();
    let found = reading.add(service, 0, &mut steps)?;
    if !found || steps.is_empty() {
        reading.add(b"other", 0, &mut steps)?;
    }
    Ok(Stack {
        steps,
        known: Known::default(),
    })
}

struct Reading<'f> {
    /// `account` or `auth`.
    task: &'static [u8],
    files: &'f mut dyn PamFiles,
    steps: usize,
    bytes: usize,
}

impl Reading<'_> {
    /// Adds the lines of one file that are of the task; says whether there is such a file.
    fn add(&mut self, service: &[u8], depth: usize, to: &mut Vec<Step>) -> Result<bool, String> {
        let name = told(service);
        if depth > DEPTH_MAX {
            return Err(format!("{name}: includes within includes without end"));
        }
        let Some(bytes) = self.files.read(service)? else {
            return Ok(false);
        };
        self.bytes += bytes.len();
        if self.bytes > BYTES_MAX {
            return Err(format!("{name}: more than {BYTES_MAX} bytes"));
        }
        for (number, line) in joined(bytes) {
            let words = words(&line);
            let mut words = words.iter().map(Vec::as_slice);
            let Some(first) = words.next() else { continue };
            if first == b"@include" {
                self.count_step(service)?;
                self.include(words.next(), depth, to)?;
                continue;
            }
            // A line that begins with `-` is passed over in silence where its module is missing.
            let kind = first.strip_prefix(b"-").unwrap_or(first);
            if !kind.eq_ignore_ascii_case(self.task) {
                continue;
            }
            let (Some(control), Some(module)) = (words.next(), words.next()) else {
                let task = self.task.escape_ascii();
                return Err(format!("{name}: a line of {task} has no module"));
            };
            self.count_step(service)?;
            match control.to_ascii_lowercase().as_slice() {
                b"include" => self.include(Some(module), depth, to)?,
                b"substack" => {
                    let mut inner = Vec::new();
                    self.include(Some(module), depth, &mut inner)?;
                    to.push(Step::Substack(inner));
                }
                control => {
                    let read = Module::new(control, module)
                        .ok_or_else(|| format!("{name}: a control is not understood"))?;
                    to.push(Step::Module(Module {
                        options: words.map(<[u8]>::to_vec).collect(),
                        place: (service.to_vec(), number),
                        ..read
                    }));
                }
            }
        }
        Ok(true)
    }

    fn count_step(&mut self, service: &[u8]) -> Result<(), String> {
        self.steps += 1;
        match self.steps > STEPS_MAX {
            true => Err(format!("{}: more than {STEPS_MAX} lines", told(service))),
            false => Ok(()),
        }
    }

    fn include(
        &mut self,
        service: Option<&[u8]>,
        depth: usize,
        to: &mut Vec<Step>,
    ) -> Result<(), String> {
        let service = service.unwrap_or_default();
        // An absolute path may be given; only names beneath the usual directories are looked up.
        if service.is_empty() || service.contains(&b'/') {
            return Err(format!("{} cannot be included", told(service)));
        }
        match self.add(service, depth + 1, to)? {
            true => Ok(()),
            false => Err(format!("{} is included, but is not there", told(service))),
        }
    }
}

impl Module {
    fn new(control: &[u8], module: &[u8]) -> Option<Self> {
        use Action::{Bad, Die, Done, Ignore, Jump, Ok, Reset};
        let named = |actions: &[(&str, Action)]| {
            let owned = |(name, action): &(&str, Action)| (name.as_bytes().to_vec(), *action);
            actions.iter().map(owned).collect()
        };
        let good = [
            ("success", Ok),
            ("new_authtok_reqd", Ok),
            ("ignore", Ignore),
        ];
        let done = [("success", Done), ("new_authtok_reqd", Done)];
        let (actions, default): (BTreeMap<_, _>, Action) = match control {
            b"required" => (named(&good), Bad),
            b"requisite" => (named(&good), Die),
            b"optional" => (named(&good[..2]), Ignore),
            b"sufficient" => (named(&done), Ignore),
            control => {
                let list = control.strip_prefix(b"[")?.strip_suffix(b"]")?;
                let mut actions = BTreeMap::new();
                let mut default = Bad;
                for pair in list.split(u8::is_ascii_whitespace) {
                    if pair.is_empty() {
                        continue;
                    }
                    let at = memchr::memchr(b'=', pair)?;
                    let action = match &pair[at + 1..] {
                        b"ignore" => Ignore,
                        b"ok" => Ok,
                        b"done" => Done,
                        b"bad" => Bad,
                        b"die" => Die,
                        b"reset" => Reset,
                        number => Jump(std::str::from_utf8(number).ok()?.parse().ok()?),
                    };
                    match &pair[..at] {
                        b"default" => default = action,
                        value => {
                            actions.insert(value.to_vec(), action);
                        }
                    }
                }
                (actions, default)
            }
        };
        Some(Self {
            name: match module.strip_suffix(b".so") {
                Some(name) if !name.contains(&b'/') => name.to_vec(),
                _ => Vec::new(),
            },
            options: Vec::new(),
            place: (Vec::new(), 0),
            file: module.to_vec(),
            actions,
            default,
        })
    }

    pub(super) fn action(&self, answer: &[u8]) -> Action {
        self.actions.get(answer).copied().unwrap_or(self.default)
    }
}

/// The lines with their numbers, without comments, those that end in a backslash joined to the next.
fn joined(bytes: Vec<u8>) -> Vec<(u32, Vec<u8>)> {
    let mut lines: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut continues = false;
    for (index, line) in Lines::parse(bytes).iter().enumerate() {
        let text = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let (text, goes_on) = match text.trim_ascii_end().strip_suffix(b"\\") {
            Some(text) => (text, true),
            None => (text, false),
        };
        match lines.last_mut().filter(|_| continues) {
            Some((_, last)) => {
                last.push(b' ');
                last.extend_from_slice(text);
            }
            None => lines.push((number(index), text.to_vec())),
        }
        continues = goes_on;
    }
    lines
}

/// Words at blanks; one in brackets goes to the bracket that closes it.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii();
    while !rest.is_empty() {
        let end = match rest.first() {
            Some(b'[') => memchr::memchr(b']', rest).map(|at| at + 1),
            _ => rest.iter().position(u8::is_ascii_whitespace),
        };
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        words.push(word.to_vec());
        rest = after.trim_ascii_start();
    }
    words
}
