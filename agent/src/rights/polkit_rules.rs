//! Rules of polkit(8). They are programs (JavaScript) and are not run here; but most have the few
//! shapes that the manual shows, and those are read: conditions on the action's name, on the
//! subject's name and groups, and a result. What has another shape is not understood, and said so.

use super::polkit_tokens::{Parsing, Token};

/// A file of rules that was understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// What its functions return, in their order.
    pub returns: Vec<Return>,
    /// Who administrators are, by its functions for that, with the lines.
    pub administrators: Vec<(u32, Vec<Vec<u8>>)>,
}

/// A result, and when it is returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// The line it stands on, from 1.
    pub line: u32,
    /// All of these hold.
    pub conditions: Vec<Condition>,
    /// What is returned.
    pub result: Outcome,
}

/// What a rule says of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is allowed.
    Free,
    /// It is, with the subject's own password.
    OwnPassword,
    /// It is not, or only with an administrator's password.
    No,
    /// This rule says nothing.
    NotHandled,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The action has this name.
    Action(Vec<u8>),
    /// Its name begins so.
    ActionPrefix(Vec<u8>),
    /// The subject has this name.
    User(Vec<u8>),
    /// It is in this group.
    Group(Vec<u8>),
    /// It sits at the console.
    Seated,
    /// One of these holds.
    Any(Vec<Self>),
    /// All of these hold.
    All(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// It is not.
    No,
    /// It is, for those who sit at the console.
    Seated,
    /// It is.
    Yes,
}

/// Who asks for what.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The account's name.
    pub user: &'a [u8],
    /// Its groups.
    pub groups: &'a [&'a [u8]],
    /// The action.
    pub action: &'a [u8],
}

impl Rules {
    /// Reads a file; `None` where it is not understood as a whole.
    pub fn read(text: &[u8]) -> Option<Self> {
        let mut parsing = Parsing::of(text)?;
        let mut rules = Self::default();
        while !parsing.is_at_end() {
            if parsing.takes(&[b"polkit", b".", b"addRule", b"("]) {
                function(&mut parsing, |parsing| {
                    body(parsing, &mut Vec::new(), &mut rules.returns)
                })?;
            } else if parsing.takes(&[b"polkit", b".", b"addAdminRule", b"("]) {
                let line = parsing.line();
                function(&mut parsing, |parsing| {
                    let names = administrators(parsing)?;
                    rules.administrators.push((line, names));
                    Some(())
                })?;
            } else {
                return None;
            }
            parsing.takes(&[b";"]);
        }
        Some(rules)
    }
}

impl Condition {
    /// Whether it holds.
    pub fn holds(&self, asked: Asked<'_>) -> Holds {
        let yes = |is: bool| if is { Holds::Yes } else { Holds::No };
        match self {
            Self::Action(name) => yes(name == asked.action),
            Self::ActionPrefix(name) => yes(asked.action.starts_with(name)),
            Self::User(name) => yes(name == asked.user),
            Self::Group(name) => yes(asked.groups.contains(&name.as_slice())),
            Self::Seated => Holds::Seated,
            Self::Any(all) => all
                .iter()
                .map(|one| one.holds(asked))
                .max()
                .unwrap_or(Holds::No),
            Self::All(all) => all
                .iter()
                .map(|one| one.holds(asked))
                .min()
                .unwrap_or(Holds::Yes),
            Self::Not(inner) => match inner.holds(asked) {
                Holds::No => Holds::Yes,
                // Whoever does not sit there; that may be anybody.
                Holds::Seated => Holds::Yes,
                Holds::Yes => Holds::No,
            },
        }
    }

    /// The names of actions, or what they begin with, that it speaks of.
    pub fn actions<'c>(&'c self, to: &mut Vec<(&'c [u8], bool)>) {
        match self {
            Self::Action(name) => to.push((name, false)),
            Self::ActionPrefix(name) => to.push((name, true)),
            Self::Any(all) | Self::All(all) => all.iter().for_each(|one| one.actions(to)),
            Self::User(_) | Self::Group(_) | Self::Seated | Self::Not(_) => {}
        }
    }
}

/// `function(a, b) { … })` or `(a, b) => { … })`, with what is to be made of its body.
fn function(parsing: &mut Parsing, read: impl FnOnce(&mut Parsing) -> Option<()>) -> Option<()> {
    let named = parsing.takes(&[b"function"]);
    parsing.expect(&[b"(", b"action", b",", b"subject", b")"])?;
    if !named {
        parsing.expect(&[b"=", b">"])?;
    }
    parsing.expect(&[b"{"])?;
    read(parsing)?;
    parsing.expect(&[b"}", b")"])
}

/// Statements up to a closing brace, which stays.
fn body(
    parsing: &mut Parsing,
    under: &mut Vec<Condition>,
    returns: &mut Vec<Return>,
) -> Option<()> {
    while !parsing.is_next(b"}") {
        statement(parsing, under, returns)?;
    }
    Some(())
}

fn statement(
    parsing: &mut Parsing,
    under: &mut Vec<Condition>,
    returns: &mut Vec<Return>,
) -> Option<()> {
    let depth = under.len();
    if parsing.takes(&[b";"]) {
        return Some(());
    }
    if parsing.takes(&[b"{"]) {
        body(parsing, under, returns)?;
        return parsing.expect(&[b"}"]);
    }
    if parsing.takes(&[b"if", b"("]) {
        let condition = any(parsing)?;
        parsing.expect(&[b")"])?;
        under.push(condition);
        nested(parsing, under, returns)?;
        if let Some(condition) = under.pop()
            && parsing.takes(&[b"else"])
        {
            under.push(Condition::Not(Box::new(condition)));
            nested(parsing, under, returns)?;
        }
        under.truncate(depth);
        return Some(());
    }
    let line = parsing.line();
    parsing.expect(&[b"return"])?;
    let result = outcome(parsing)?;
    parsing.takes(&[b";"]);
    returns.push(Return {
        line,
        conditions: under.clone(),
        result,
    });
    Some(())
}

/// The deepest that conditions stand in each other.
const DEPTH_MAX: usize = 32;

fn nested(
    parsing: &mut Parsing,
    under: &mut Vec<Condition>,
    returns: &mut Vec<Return>,
) -> Option<()> {
    (under.len() < DEPTH_MAX).then_some(())?;
    statement(parsing, under, returns)
}

fn outcome(parsing: &mut Parsing) -> Option<Outcome> {
    if parsing.is_next(b";") || parsing.is_next(b"}") {
        return Some(Outcome::NotHandled);
    }
    let word = if parsing.takes(&[b"polkit", b".", b"Result", b"."]) {
        parsing.word()?.to_ascii_lowercase()
    } else {
        match parsing.next()? {
            Token::Text(text) => text.clone(),
            Token::Word(word) if word == b"null" || word == b"undefined" => b"not_handled".to_vec(),
            _ => return None,
        }
    };
    Some(match word.as_slice() {
        b"yes" => Outcome::Free,
        b"auth_self" | b"auth_self_keep" => Outcome::OwnPassword,
        b"no" | b"auth_admin" | b"auth_admin_keep" => Outcome::No,
        b"not_handled" => Outcome::NotHandled,
        _ => return None,
    })
}

fn administrators(parsing: &mut Parsing) -> Option<Vec<Vec<u8>>> {
    parsing.expect(&[b"return", b"["])?;
    let mut names = Vec::new();
    while let Some(Token::Text(text)) = parsing.peek() {
        names.push(text.clone());
        parsing.next();
        if !parsing.takes(&[b","]) {
            break;
        }
    }
    parsing.expect(&[b"]"])?;
    parsing.takes(&[b";"]);
    Some(names)
}

fn any(parsing: &mut Parsing) -> Option<Condition> {
    let mut list = vec![all(parsing)?];
    while parsing.takes(&[b"|", b"|"]) {
        list.push(all(parsing)?);
    }
    Some(one_or(list, Condition::Any))
}

fn all(parsing: &mut Parsing) -> Option<Condition> {
    let mut list = vec![term(parsing)?];
    while parsing.takes(&[b"&", b"&"]) {
        list.push(term(parsing)?);
    }
    Some(one_or(list, Condition::All))
}

fn one_or(mut list: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match (list.pop(), list.is_empty()) {
        (Some(one), true) => one,
        (last, _) => {
            list.extend(last);
            many(list)
        }
    }
}

fn term(parsing: &mut Parsing) -> Option<Condition> {
    parsing.go_deeper()?;
    let found = if parsing.takes(&[b"!"]) {
        Condition::Not(Box::new(term(parsing)?))
    } else if parsing.takes(&[b"("]) {
        let inner = any(parsing)?;
        parsing.expect(&[b")"])?;
        inner
    } else {
        fact(parsing)?
    };
    parsing.come_back();
    Some(found)
}

fn fact(parsing: &mut Parsing) -> Option<Condition> {
    if parsing.takes(&[b"action", b".", b"id", b".", b"indexOf", b"("]) {
        let name = parsing.text()?;
        parsing.expect(&[b")"])?;
        equals(parsing)?;
        parsing.expect(&[b"0"])?;
        return Some(Condition::ActionPrefix(name));
    }
    if parsing.takes(&[b"action", b".", b"id", b".", b"startsWith", b"("]) {
        let name = parsing.text()?;
        parsing.expect(&[b")"])?;
        return Some(Condition::ActionPrefix(name));
    }
    if parsing.takes(&[b"action", b".", b"id"]) {
        let equal = equals(parsing)?;
        let is = Condition::Action(parsing.text()?);
        return Some(negated_unless(equal, is));
    }
    if parsing.takes(&[b"subject", b".", b"user"]) {
        let equal = equals(parsing)?;
        let is = Condition::User(parsing.text()?);
        return Some(negated_unless(equal, is));
    }
    if parsing.takes(&[b"subject", b".", b"isInGroup", b"("]) {
        let name = parsing.text()?;
        parsing.expect(&[b")"])?;
        return Some(Condition::Group(name));
    }
    for word in [&b"active"[..], b"local"] {
        if parsing.takes(&[b"subject", b".", word]) {
            // `subject.active == true` is the same.
            if parsing.is_next(b"=") {
                equals(parsing)?.then_some(())?;
                parsing.expect(&[b"true"])?;
            }
            return Some(Condition::Seated);
        }
    }
    None
}

/// `==` and `===` are true, `!=` and `!==` false.
fn equals(parsing: &mut Parsing) -> Option<bool> {
    let equal = if parsing.takes(&[b"=", b"="]) {
        true
    } else {
        parsing.expect(&[b"!", b"="])?;
        false
    };
    parsing.takes(&[b"="]);
    Some(equal)
}

fn negated_unless(equal: bool, condition: Condition) -> Condition {
    match equal {
        true => condition,
        false => Condition::Not(Box::new(condition)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXEC: &[u8] = b"org.freedesktop.policykit.exec";

    /// What the rules of a text return to alice, who is in staff.
    fn told(text: &str, action: &str) -> Option<Vec<String>> {
        let rules = Rules::read(text.as_bytes())?;
        let asked = Asked {
            user: b"alice",
            groups: &[b"alice", b"staff"],
            action: action.as_bytes(),
        };
        let show = |found: &Return| {
            let holds = Condition::All(found.conditions.clone()).holds(asked);
            format!("{} {holds:?} {:?}", found.line, found.result)
        };
        Some(rules.returns.iter().map(show).collect())
    }

    #[test]
    fn the_shapes_of_the_manual() {
        let exec = std::str::from_utf8(EXEC).unwrap();
        let text = "/* us */\npolkit.addRule(function(action, subject) {\n\
            \x20   if (action.id == \"org.freedesktop.policykit.exec\" && // pkexec\n\
            \x20       subject.isInGroup(\"staff\")) {\n        return polkit.Result.YES;\n    }\n\
            \x20   if (action.id.indexOf('org.x.') === 0 || !(subject.user != 'alice'))\n\
            \x20       return 'auth_self';\n    else if (subject.local && subject.active)\n\
            \x20       return polkit.Result.AUTH_ADMIN_KEEP;\n});\n";
        assert_eq!(
            told(text, exec).unwrap(),
            ["5 Yes Free", "8 Yes OwnPassword", "10 No No"]
        );
        let arrow = "polkit.addRule((action, subject) => { if (subject.active == true && \
            action.id.startsWith('org.')) { return polkit.Result.YES } return null; });";
        assert_eq!(
            told(arrow, exec).unwrap(),
            ["1 Seated Free", "1 Yes NotHandled"]
        );
    }

    #[test]
    fn administrators_are_listed() {
        let text = "polkit.addAdminRule(function(action, subject) {\n\
            return [\"unix-group:sudo\", \"unix-user:0\"];\n});";
        let rules = Rules::read(text.as_bytes()).unwrap();
        assert_eq!(
            rules.administrators,
            [(
                1,
                vec![b"unix-group:sudo".to_vec(), b"unix-user:0".to_vec()]
            )]
        );
    }

    #[test]
    fn what_has_another_shape_is_not_understood() {
        for text in [
            "polkit.addRule(function(action, subject) { return polkit.spawn(['x']); });",
            "polkit.addRule(function(action, subject) { if (action.lookup('unit') == 'x') return 'yes'; });",
            "polkit.addRule(function(action, subject) { if (/x/.test(action.id)) return 'yes'; });",
            "var g = 'staff'; polkit.addRule(function(action, subject) { return 'no'; });",
            "polkit.addRule(function(action, subject) { return 'ye\\x73'; });",
            "polkit.addRule(function(action, subject) { return 'no' }",
            "polkit['addRule'](f)",
            "/* not ended",
            "polkit.addRule(function(a, b) { return 'yes'; });",
        ] {
            assert_eq!(told(text, "x"), None, "{text}");
        }
        let deep = format!(
            "polkit.addRule(function(action, subject) {{ if ({}subject.active) return 'yes'; }});",
            "!".repeat(10_000)
        );
        assert_eq!(told(&deep, "x"), None);
        assert_eq!(told("// nothing\n", "x"), Some(Vec::new()));
    }
}
