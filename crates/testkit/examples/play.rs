//! temp
use testkit::golden::{Golden, Player, nacos::HttpPlayer, polaris::GrpcPlayer};
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let golden = Golden::load(std::path::Path::new(&args[2]))?;
    let addr = args[3].parse()?;
    let mut player: Box<dyn Player> = if args[1] == "nacos" {
        Box::new(HttpPlayer::new(&addr))
    } else {
        Box::new(GrpcPlayer::connect(addr)?)
    };
    for r in &args[4..] {
        let f = golden.play(r, &mut *player)?;
        println!("== {r}: {} failures\n{}", f.len(), f.join("\n"));
    }
    Ok(())
}
