//! nginx as a backend's server.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    bed::{Host, Process},
    http, poll,
};

/// Port that the server listens on, on every address of its host: the VIP's too.
pub const PORT: u16 = 80;
/// Further ports, where every path answers with the host's name.
pub const MORE_PORTS: [u16; 3] = [8000, 8080, 8999];
/// Length of what `GET /megabyte` returns.
pub const MEGABYTE: usize = 1_000_000;

const START_LIMIT: Duration = Duration::from_secs(5);
const CONNECT_LIMIT: Duration = Duration::from_millis(200);

/// Starts nginx on a host and waits until it answers.
///
/// | request | answer |
/// | --- | --- |
/// | `GET /` | the host's name |
/// | `GET /healthz` | `ok` |
/// | `GET /megabyte` | [`MEGABYTE`] bytes |
/// | `POST /upload` | the host's name and the number of bytes received |
pub fn start(host: &Host) -> Result<Process> {
    host.write("megabyte", &"x".repeat(MEGABYTE))?;
    let file = host.write("nginx.conf", &config(host))?;
    let file = file.to_str().context("the path of nginx.conf is not text")?;
    // A server that was killed leaves its socket's name behind, and nginx will not take it over.
    let _ = fs::remove_file(host.path("nginx.sock"));
    let mut process = host.spawn("nginx", "nginx", &["-c", file, "-e", "stderr"])?;
    let address = SocketAddr::new(host.v4().into(), PORT);
    let answers = || {
        if !matches!(process.exit_status(), Ok(None)) {
            return Some(Err(anyhow::anyhow!("nginx on {} ended: {}", host.name(), process.log())));
        }
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT).ok()?;
        http::get(&mut stream, host.name(), "/healthz").ok().map(|_| Ok(()))
    };
    host.namespace().on_thread(|| poll::until("nginx to answer", START_LIMIT, answers)?)?;
    Ok(process)
}

/// One process without workers: what is killed is all there is. An upload goes through an inner server, because only a
/// proxy reads the whole body before it answers.
fn config(host: &Host) -> String {
    let name = host.name();
    let more_ports = MORE_PORTS.map(|port| format!("listen {port}; listen [::]:{port} ipv6only=on;")).join(" ");
    let directory = host.path("");
    let directory = directory.display();
    format!(
        "daemon off;
master_process off;
pid {directory}nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_max_body_size 4m;
    client_body_temp_path {directory}nginx-body;
    proxy_temp_path {directory}nginx-proxy;
    fastcgi_temp_path {directory}nginx-fastcgi;
    uwsgi_temp_path {directory}nginx-uwsgi;
    scgi_temp_path {directory}nginx-scgi;
    default_type text/plain;
    server {{
        listen {PORT} backlog=1024;
        listen [::]:{PORT} ipv6only=on backlog=1024;
        location = / {{ return 200 \"{name}\\n\"; }}
        location = /healthz {{ return 200 \"ok\\n\"; }}
        location = /megabyte {{ alias {directory}megabyte; }}
        location = /upload {{ proxy_pass http://unix:{directory}nginx.sock:/; }}
    }}
    server {{
        {more_ports}
        location / {{ return 200 \"{name}\\n\"; }}
    }}
    server {{
        listen unix:{directory}nginx.sock;
        location / {{ return 200 \"{name} received $content_length bytes\\n\"; }}
    }}
}}
"
    )
}
