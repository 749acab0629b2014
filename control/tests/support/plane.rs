//! A control plane in a temporary directory, which can be stopped and started again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rescind_control::config::Config;
use rescind_control::serve::{ServeError, Server};

use super::operator::Operator;

pub struct TestPlane {
    pub dir: PathBuf,
    pub config: Config,
    server: Option<Server>,
}

impl TestPlane {
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("rescind-{}-{unique}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config {
            data_dir: dir.join("data"),
            listen: loopback,
            operator_listen: Some(loopback),
            socket: Some(dir.join("operator.sock")),
            names: vec!["localhost".into(), "127.0.0.1".into()],
            ..Config::default()
        };
        change(&mut config);
        let mut plane = Self {
            dir,
            config,
            server: None,
        };
        plane.start_again().await;
        plane
    }

    pub async fn start_again(&mut self) {
        self.server = Some(self.try_start().await.unwrap());
    }

    pub async fn try_start(&self) -> Result<Server, ServeError> {
        Server::start(self.config.clone()).await
    }

    pub async fn stop(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub fn agents(&self) -> SocketAddr {
        self.server().agents
    }

    pub fn operator(&self) -> Operator {
        Operator::new(self.config.socket.clone().unwrap())
    }

    pub fn database(&self) -> PathBuf {
        self.config.data_dir.join("rescind.db")
    }

    pub fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for TestPlane {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
