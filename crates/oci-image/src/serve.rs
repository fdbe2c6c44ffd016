//! A read-only registry (distribution-spec 1.1, "Pull" and "Content Discovery") over a directory of OCI layouts.
//!
//! `DIR/web` is served as repository `web`, `DIR/team/web` as `team/web`; a directory that is itself a layout is
//! served under its own name. Tags are the layout's `org.opencontainers.image.ref.name`; an image without one is
//! `latest`. The directory is read at each request, so that what was just built is there.
//!
//! Only std: a handful of threads, one connection each, limits on everything that a peer sends. For loopback and
//! development; there is no TLS and no authentication.
//!
//! Modules: [`http`] (requests and responses), [`catalog`] (names to layouts).

pub mod catalog;
pub mod http;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::digest::Digest;
use catalog::Repository;
use http::{Request, Response};

/// Connections that are served at once; pullers open one to four.
const WORKERS: usize = 8;

/// Connections that may wait for a worker.
const BACKLOG: usize = 32;

/// A peer that says nothing for so long is let go.
const IDLE: Duration = Duration::from_secs(30);

/// How often a stopped server looks whether it was stopped.
const STOP_POLL: Duration = Duration::from_millis(50);

/// A read-only registry.
#[derive(Debug, Clone)]
pub struct Server {
    dir: PathBuf,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// A server of the layouts in `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), stop: Arc::default() }
    }

    /// Ends [`Server::run`] soon, from another thread.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Serves until [`Server::stop`]. `seen` is told of each answered request, from the thread that answered.
    ///
    /// # Errors
    /// The listener's own failure; a connection's failure ends that connection only.
    pub fn run(&self, listener: &TcpListener, seen: impl Fn(&Served) + Sync) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let (queue, waiting) = sync_channel::<TcpStream>(BACKLOG);
        let waiting = Mutex::new(waiting);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| self.work(&waiting, &seen));
            }
            let result = loop {
                if self.stop.load(Ordering::Relaxed) {
                    break Ok(());
                }
                match listener.accept() {
                    // A full queue drops the connection: the peer tries again, and we stay bounded.
                    Ok((stream, _)) => drop(queue.try_send(stream)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        std::thread::sleep(STOP_POLL / 10);
                    }
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => break Err(error),
                }
            };
            self.stop();
            drop(queue);
            result
        })
    }

    fn work(&self, waiting: &Mutex<Receiver<TcpStream>>, seen: &(impl Fn(&Served) + Sync)) {
        while let Ok(stream) = { waiting.lock().unwrap_or_else(PoisonError::into_inner).recv() } {
            // The peer's failure is the peer's: nothing to do but to close.
            let _ = self.connection(&stream, seen);
        }
    }

    fn connection(&self, stream: &TcpStream, seen: &impl Fn(&Served)) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(STOP_POLL))?;
        stream.set_write_timeout(Some(IDLE))?;
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?;
        let mut reader = BufReader::new(Patient { stream, stop: &self.stop });
        loop {
            let request = match Request::read(&mut reader) {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(http::RequestError::Malformed(why)) => {
                    return Response::error(400, "UNSUPPORTED", why)
                        .write(&mut &*stream, false, false)
                        .map(drop);
                }
                Err(http::RequestError::Io(error)) => return Err(error),
            };
            let response = self.answer(&request);
            let status = response.status;
            let head = request.method == "HEAD";
            let bytes = response.write(&mut &*stream, head, request.keep_alive)?;
            seen(&Served { peer, method: request.method, path: request.path, status, bytes });
            if !request.keep_alive {
                return Ok(());
            }
        }
    }

    /// The answer to one request.
    fn answer(&self, request: &Request) -> Response {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return Response::error(405, "UNSUPPORTED", "this registry is read-only");
        }
        let path = request.path.as_str();
        let Some(rest) = path.strip_prefix("/v2/").or((path == "/v2").then_some("")) else {
            return Response::error(404, "NOT_FOUND", "only /v2/ is served");
        };
        match route(rest) {
            Some(Route::Ping) => Response::json(200, "{}"),
            Some(Route::Catalog) => {
                let names: Vec<String> =
                    catalog::scan(&self.dir).into_iter().map(|found| found.name).collect();
                Response::json(200, serde_json::json!({ "repositories": names }).to_string())
            }
            Some(Route::In(name, what)) => match catalog::find(&self.dir, name) {
                Some(repository) => self.in_repository(&repository, &what, request),
                None => Response::error(404, "NAME_UNKNOWN", "there is no such repository"),
            },
            None => Response::error(404, "NOT_FOUND", "there is nothing at this path"),
        }
    }

    fn in_repository(&self, repository: &Repository, what: &What<'_>, request: &Request) -> Response {
        match what {
            What::Tags => {
                let tags = repository.tags();
                Response::json(200, serde_json::json!({ "name": repository.name, "tags": tags }).to_string())
            }
            What::Manifest(selector) => manifest(repository, selector),
            What::Blob(digest) => match digest.parse::<Digest>() {
                Ok(digest) => blob(repository, &digest, request.range),
                Err(error) => Response::error(400, "DIGEST_INVALID", &error.to_string()),
            },
        }
    }
}

/// One answered request.
#[derive(Debug, Clone)]
pub struct Served {
    /// Who asked.
    pub peer: SocketAddr,
    /// `GET` or `HEAD`.
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// The status code.
    pub status: u16,
    /// Bytes of the body.
    pub bytes: u64,
}

enum Route<'a> {
    Ping,
    Catalog,
    In(&'a str, What<'a>),
}

enum What<'a> {
    Tags,
    Manifest(&'a str),
    Blob(&'a str),
}

fn route(rest: &str) -> Option<Route<'_>> {
    match rest {
        "" => return Some(Route::Ping),
        "_catalog" => return Some(Route::Catalog),
        _ => {}
    }
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Some(Route::In(name, What::Tags));
    }
    let (front, last) = rest.rsplit_once('/')?;
    let (name, kind) = front.rsplit_once('/')?;
    match kind {
        "manifests" => Some(Route::In(name, What::Manifest(last))),
        "blobs" => Some(Route::In(name, What::Blob(last))),
        _ => None,
    }
}

fn manifest(repository: &Repository, selector: &str) -> Response {
    let unknown = || Response::error(404, "MANIFEST_UNKNOWN", "there is no such tag or digest");
    let Some((digest, media_type)) = repository.manifest(selector) else { return unknown() };
    let Ok(bytes) = std::fs::read(repository.layout.blob_path(&digest)) else { return unknown() };
    let mut response = Response::bytes(200, &media_type, bytes);
    response.headers.push(("Docker-Content-Digest", digest.to_string()));
    response
}

fn blob(repository: &Repository, digest: &Digest, range: Option<(u64, Option<u64>)>) -> Response {
    let Ok((file, size)) = repository.layout.open_blob(digest) else {
        return Response::error(404, "BLOB_UNKNOWN", "there is no such blob");
    };
    let mut response = match range {
        None => Response::stream(200, Box::new(file), size),
        Some((first, last)) => {
            let last = last.unwrap_or(u64::MAX).min(size.saturating_sub(1));
            if first >= size || first > last {
                let mut response = Response::error(416, "RANGE_INVALID", "the range is outside of the blob");
                response.headers.push(("Content-Range", format!("bytes */{size}")));
                return response;
            }
            match part(file, first) {
                Ok(file) => {
                    let mut response = Response::stream(206, Box::new(file), last - first + 1);
                    response.headers.push(("Content-Range", format!("bytes {first}-{last}/{size}")));
                    response
                }
                Err(_) => return Response::error(500, "BLOB_UNKNOWN", "the blob cannot be read"),
            }
        }
    };
    response.headers.push(("Docker-Content-Digest", digest.to_string()));
    response.headers.push(("Accept-Ranges", "bytes".to_owned()));
    response
}

fn part(mut file: File, first: u64) -> io::Result<File> {
    file.seek(SeekFrom::Start(first))?;
    Ok(file)
}

/// A stream whose reader waits up to [`IDLE`], yet gives up soon when the server stops.
struct Patient<'a> {
    stream: &'a TcpStream,
    stop: &'a AtomicBool,
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let polls = IDLE.as_millis() / STOP_POLL.as_millis();
        for _ in 0..polls {
            match (&mut &*self.stream).read(buffer) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && !self.stop.load(Ordering::Relaxed) => {}
                result => return result,
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&mut &*self.stream).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
