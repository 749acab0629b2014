//! `make demo`: the story of one revocation, from a laptop that can log in to proof that it cannot.

mod on_a_directory;
mod on_a_host;
mod telling;

use telling::Story;

fn main() {
    // What cannot go on is told in one line instead of a backtrace; the hosts are cleared away.
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let why = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("for a reason it did not give");
        eprintln!("\ndemo: stopped: {why}");
    }));
    let mut story = Story::begin();
    match rescind_tests::can_boot_hosts() {
        Ok(()) => on_a_host::tell(&mut story),
        Err(missing) => {
            story.say(&format!("This machine cannot boot a host: {missing}."));
            story.say("So the same story is told on a directory that looks like one.");
            on_a_directory::tell(&mut story);
        }
    }
    story.end();
}
