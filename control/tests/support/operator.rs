//! An operator: HTTP over the Unix socket.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;

#[derive(Clone)]
pub struct Operator {
    socket: PathBuf,
}

impl Operator {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub async fn request(&self, method: Method, path: &str, body: Value) -> Response<Incoming> {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "test")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        sender.send_request(request).await.unwrap()
    }

    pub async fn try_json(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let response = self.request(method, path, body).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, value) = self.try_json(Method::GET, path, Value::Null).await;
        assert!(status.is_success(), "{path}: {status} {value}");
        value
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, value) = self.try_json(Method::POST, path, body).await;
        assert!(status.is_success(), "{path}: {status} {value}");
        value
    }

    pub async fn token(&self, body: Value) -> String {
        self.post("/v1/tokens", body).await["token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Orders the account to be disabled; the order's id.
    pub async fn disable(&self, host: &str, account: &str) -> String {
        let action = json!({ "kind": "disable_account", "account": account });
        self.give(host, action).await
    }

    pub async fn give(&self, host: &str, action: Value) -> String {
        let given = self
            .post(
                "/v1/orders",
                json!({ "action": action, "hosts": [host], "ticket": "OFF-1", "reason": "left" }),
            )
            .await;
        given["orders"][0]["id"].as_str().unwrap().to_owned()
    }

    pub async fn order(&self, id: &str) -> Value {
        self.get(&format!("/v1/orders/{id}")).await
    }

    /// The kinds of the open exceptions, sorted.
    pub async fn exceptions(&self) -> Vec<String> {
        let list = self.get("/v1/exceptions").await;
        let mut kinds: Vec<String> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|exception| exception["kind"].as_str().unwrap().to_owned())
            .collect();
        kinds.sort();
        kinds
    }

    /// Waits until an exception of this kind is open.
    pub async fn until_exception(&self, kind: &str) -> Value {
        for _ in 0..200 {
            let list = self.get("/v1/exceptions").await;
            if let Some(found) = list.as_array().unwrap().iter().find(|e| e["kind"] == kind) {
                return found.clone();
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no exception {kind}: {:?}", self.exceptions().await);
    }

    /// Waits until the order is in this state.
    pub async fn until_state(&self, id: &str, state: &str) -> Value {
        for _ in 0..200 {
            let order = self.order(id).await;
            if order["state"] == state {
                return order;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("order {id} is not {state}: {}", self.order(id).await);
    }

    /// Follows an order to its end: the states, in order.
    pub async fn follow(&self, id: &str) -> Vec<Value> {
        let response = self
            .request(
                Method::GET,
                &format!("/v1/orders/{id}/follow?confirm_ms=2000"),
                Value::Null,
            )
            .await;
        assert!(response.status().is_success());
        let text = response.into_body().collect().await.unwrap().to_bytes();
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    /// Gives an order to a server that may be killed meanwhile; the id, if it was answered.
    pub async fn try_order(&self, body: Value) -> Option<String> {
        let stream = UnixStream::connect(&self.socket).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .ok()?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/orders")
            .header("host", "test")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let answer = sender.send_request(request).await.ok()?;
        let bytes = answer.into_body().collect().await.ok()?.to_bytes();
        let value: Value = serde_json::from_slice(&bytes).ok()?;
        value["order"].as_str().map(str::to_owned)
    }
}
