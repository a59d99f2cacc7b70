//! A small Kubernetes API server that knows one Lease: GET, POST and PUT, with a `resourceVersion` that every change must
//! name. Listens on every node, as a load balancer's address would.

use crate::cluster::Cluster;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const PORT: u16 = 6443;

#[derive(Default)]
struct Kept {
    lease: Option<Value>,
    version: u64,
    conflicts: u64,
}

pub(crate) struct Server(Arc<Mutex<Kept>>);

impl Server {
    /// Serves in every node's namespace, for as long as the process runs.
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let kept = Arc::<Mutex<Kept>>::default();
        for node in &cluster.nodes {
            let listener = node.place.run(|| TcpListener::bind(("127.0.0.1", PORT)).unwrap()).unwrap();
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let kept = Arc::clone(&kept);
                    std::thread::spawn(move || serve(stream, &kept));
                }
            });
        }
        Self(kept)
    }

    pub(crate) fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\ncontexts:\n- name: test\n  context: {{cluster: test, \
             user: test}}\nclusters:\n- name: test\n  cluster: {{server: 'http://127.0.0.1:{PORT}'}}\nusers:\n- name: \
             test\n  user: {{}}\n"
        )
    }

    pub(crate) fn holder(&self) -> String {
        let kept = self.0.lock().unwrap();
        kept.lease.as_ref().unwrap()["spec"]["holderIdentity"].as_str().unwrap().to_owned()
    }

    pub(crate) fn writes(&self) -> u64 {
        self.0.lock().unwrap().version
    }

    pub(crate) fn conflicts(&self) -> u64 {
        self.0.lock().unwrap().conflicts
    }
}

/// One connection, which may ask many things.
fn serve(stream: TcpStream, kept: &Mutex<Kept>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some((method, path, body)) = request(&mut reader) {
        let (status, answer) = kept.lock().unwrap().answer(&method, &path, &body);
        let text = answer.to_string();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", text.len());
        if writer.write_all((head + &text).as_bytes()).is_err() {
            return;
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, String, Value)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", number)) => length = number.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = path.split('?').next()?.to_owned();
    Some((method, path, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

impl Kept {
    fn answer(&mut self, method: &str, path: &str, body: &Value) -> (&'static str, Value) {
        let named = path == format!("{PATH}/egress");
        match (method, named, path == PATH, &self.lease) {
            ("GET", true, _, Some(lease)) => ("200 OK", lease.clone()),
            ("GET", true, _, None) => ("404 Not Found", failure(404, "NotFound")),
            ("POST", _, true, None) => ("201 Created", self.keep(body)),
            ("POST", _, true, Some(_)) => self.refuse("AlreadyExists"),
            ("PUT", true, _, Some(lease)) => {
                let current = lease["metadata"]["resourceVersion"].clone();
                if body["metadata"]["resourceVersion"] == current {
                    ("200 OK", self.keep(body))
                } else {
                    self.refuse("Conflict")
                }
            }
            other => panic!("{other:?} {path}"),
        }
    }

    fn keep(&mut self, body: &Value) -> Value {
        self.version += 1;
        let mut lease = body.clone();
        lease["apiVersion"] = json!("coordination.k8s.io/v1");
        lease["kind"] = json!("Lease");
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        lease
    }

    fn refuse(&mut self, reason: &str) -> (&'static str, Value) {
        self.conflicts += 1;
        ("409 Conflict", failure(409, reason))
    }
}

fn failure(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "code": code, "message": reason})
}
