//! The Unix sockets and who may connect to them.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::config::{LinkUser, layout};
use crate::daemon::work::Work;
use crate::daemon::{DaemonError, admin, aside, spawn};
use crate::logins::LoginLog;
use crate::orders::held;
use crate::sys::ids::effective_uid;
use crate::sys::sockets;

/// Local command lines served at once.
const ADMIN_CONNECTIONS_MAX: usize = 8;
/// How long a command line waits for the worker, which may be carrying out an order.
const WORKER_TIMEOUT: Duration = Duration::from_secs(110);

/// How long the records of logins are read for one answer; the next one goes on from there.
pub const LOGINS_PATIENCE: Duration = Duration::from_secs(2);

/// Room for the parsers of a survey; its home child ends with its thread.
const SURVEY_STACK_BYTES: usize = 1 << 20;

/// Starts listening for the link and for the local command line.
pub fn start(
    root: &Path,
    work: &SyncSender<Work>,
    logins: &Arc<LoginLog>,
) -> Result<(), DaemonError> {
    std::fs::create_dir_all(layout::run_dir(root))?;
    // Without the package's user the link cannot run, but orders can still be carried here.
    let link_user = match LinkUser::look_up(root) {
        Ok(user) => Some((user.uid, user.gid)),
        Err(error) => {
            tracing::warn!(%error, "no link will be let in");
            None
        }
    };

    let path = layout::link_sock(root);
    let listener = bind(&path, 0o660)?;
    if let Some((_, gid)) = link_user {
        chown(&path, None, Some(gid)).map_err(|source| listen_error(&path, source))?;
    }
    let to_worker = work.clone();
    let link_uid = link_user.map(|(uid, _)| uid);
    spawn("listen-link", move || {
        accept(&listener, |stream, uid| {
            // Looked up at start: the package makes this user before it starts the agent.
            if uid != effective_uid() && Some(uid) != link_uid {
                tracing::warn!(uid, "refused on the link's socket");
                return true;
            }
            to_worker.send(Work::LinkUp(stream)).is_ok()
        });
    })?;

    let path = layout::admin_sock(root);
    let listener = bind(&path, 0o600)?;
    let to_worker = work.clone();
    let serving = Arc::new(AtomicUsize::new(0));
    let root = root.to_owned();
    let logins = Arc::clone(logins);
    spawn("listen-admin", move || {
        accept(&listener, |stream, uid| {
            if uid != effective_uid() {
                tracing::warn!(uid, "refused on the administrator's socket");
                return true;
            }
            if serving.fetch_add(1, Ordering::SeqCst) >= ADMIN_CONNECTIONS_MAX {
                serving.fetch_sub(1, Ordering::SeqCst);
                return true;
            }
            let (to_worker, serving) = (to_worker.clone(), Arc::clone(&serving));
            let (root, logins) = (root.clone(), Arc::clone(&logins));
            let served = spawn("admin", move || {
                let done = admin::serve(stream, |request| match request {
                    // It takes its time, and the worker has orders to carry out.
                    admin::Request::Secrets => look_for_secrets(root),
                    admin::Request::Explain { account } => {
                        aside::explain(&root, account).map(|answer| answer.to_string())
                    }
                    request => {
                        // Here, where no order waits for it.
                        if request.tells_logins() {
                            logins.look(LOGINS_PATIENCE);
                        }
                        ask(&to_worker, request)
                    }
                });
                if let Err(error) = done {
                    tracing::debug!(%error, "a command line went away");
                }
                serving.fetch_sub(1, Ordering::SeqCst);
            });
            if let Err(error) = served {
                tracing::warn!(%error, "a command line could not be served");
            }
            true
        });
    })?;
    Ok(())
}

fn ask(work: &SyncSender<Work>, request: admin::Request) -> admin::Answer {
    let (reply, answer) = sync_channel(1);
    let gone = || "the agent is stopping".to_owned();
    work.send(Work::Admin(request, reply)).map_err(|_| gone())?;
    answer
        .recv_timeout(WORKER_TIMEOUT)
        .map_err(|_| "the agent is busy and did not answer in time; try again".to_owned())?
}

/// Looks for the host's secrets, on a thread with room for it; one such survey at a time.
fn look_for_secrets(root: PathBuf) -> admin::Answer {
    static RUNNING: Mutex<()> = Mutex::new(());
    let Ok(_running) = RUNNING.try_lock() else {
        return Err("a survey of the host's secrets is running already; try again".into());
    };
    let survey = std::thread::Builder::new()
        .name("secrets".into())
        .stack_size(SURVEY_STACK_BYTES)
        .spawn(move || match held::report(&root) {
            Ok(report) => Ok(report.to_string()),
            Err(error) => Err(error.to_string()),
        });
    match survey.map(std::thread::JoinHandle::join) {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err("the survey of the host's secrets failed; see the agent's log".into()),
        Err(error) => Err(format!(
            "the survey of the host's secrets could not be started: {error}"
        )),
    }
}

/// Binds a socket, replacing one that a dead agent left behind: the store's lock already says
/// that no other agent is alive.
fn bind(path: &PathBuf, mode: u32) -> Result<UnixListener, DaemonError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(listen_error(path, error));
        }
        _ => {}
    }
    // Nobody but root may enter before the mode is set.
    let listener = sockets::with_private_umask(|| UnixListener::bind(path))
        .map_err(|source| listen_error(path, source))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|source| listen_error(path, source))?;
    Ok(listener)
}

fn listen_error(path: &Path, source: std::io::Error) -> DaemonError {
    DaemonError::Listen {
        path: path.display().to_string(),
        source,
    }
}

/// Accepts until `each` says that nobody is interested any more.
fn accept(listener: &UnixListener, mut each: impl FnMut(UnixStream, u32) -> bool) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Out of descriptors or memory: waiting is all that can help.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        match sockets::peer_uid(&stream) {
            Ok(uid) if each(stream, uid) => {}
            Ok(_) => return,
            Err(error) => tracing::warn!(%error, "cannot tell who connected"),
        }
    }
}
