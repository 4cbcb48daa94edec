//! The yardstick of `benches/http/run`: a handler of actix-web that sends the same bytes and does nothing else.

use std::path::Path;
use std::{env, fs};

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, workers, file] = arguments.as_slice() else {
        return Err(std::io::Error::other("give an address, how many workers, and a file"));
    };
    let bytes = Data::new(Bytes::from(fs::read(Path::new(file))?));
    let workers = workers.parse().map_err(std::io::Error::other)?;
    let app = move || App::new().app_data(bytes.clone()).default_service(web::to(answer));
    HttpServer::new(app).workers(workers).bind(address)?.run().await
}

async fn answer(bytes: Data<Bytes>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(Bytes::clone(&bytes))
}
