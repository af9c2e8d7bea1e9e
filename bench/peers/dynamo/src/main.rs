//! Feeds the single-threaded tree of Dynamo's KV router with a workload file. It takes events that its publishers have
//! decoded, with the hash of each block's tokens, which is told apart here. Its tree takes the name of a block for the
//! same in all engines: names are the hashes of Dynamo's own chain.

mod workload;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use dynamo_kv_router::RadixTree;
use dynamo_kv_router::protocols::{
    BlockHashOptions, ExternalSequenceBlockHash, KvCacheEvent, KvCacheEventData, KvCacheRemoveData,
    KvCacheStoreData, KvCacheStoredBlockData, LocalBlockHash, RouterEvent,
    compute_block_hash_for_seq, compute_next_seq_hash,
};
use workload::{Event, Workload};

/// How deep a question has to go to be timed, as in bench/index/measures.ts.
const LONG_BLOCKS: usize = 256;
/// Long enough for a coarse clock of CPU time.
const MATCH_FOR: Duration = Duration::from_millis(300);

fn main() {
    let path = std::env::args()
        .nth(1)
        .expect("usage: dynamo-peer WORKLOAD");
    let work = workload::read(&path);
    let started = cpu_seconds();
    let hashes: Vec<Vec<LocalBlockHash>> = work
        .events
        .iter()
        .map(|event| hashes_of(&event.tokens, work.block_size))
        .collect();
    let hash_seconds = cpu_seconds() - started;
    let mut names = HashMap::new();
    let events = events_of(&work.events, &hashes, &mut names);
    let nothing = vec![Vec::new(); work.removals.len()];
    let removals = events_of(&work.removals, &nothing, &mut names);
    let mut tree = RadixTree::new();
    let (ingest_seconds, ingest_cpu_seconds) = apply(&mut tree, events);
    let answers: Vec<_> = work
        .questions
        .iter()
        .map(|question| answer(&tree, &work, &question.tokens))
        .collect();
    let match512_us = match512(&tree, &work);
    let (remove_seconds, remove_cpu_seconds) = apply(&mut tree, removals);
    let line = serde_json::json!({
        "ingestCpuSeconds": ingest_cpu_seconds,
        "ingestSeconds": ingest_seconds,
        "removeCpuSeconds": remove_cpu_seconds,
        "removeSeconds": remove_seconds,
        "hashCpuSeconds": hash_seconds,
        "match512Us": match512_us,
        "answers": answers,
    });
    println!("{line}");
}

/// Seconds that went by, and those of CPU.
fn apply(tree: &mut RadixTree, events: Vec<RouterEvent>) -> (f64, f64) {
    let (clock, started) = (Instant::now(), cpu_seconds());
    let refused = events
        .into_iter()
        .filter_map(|event| tree.apply_event(event).err())
        .count();
    let took = (clock.elapsed().as_secs_f64(), cpu_seconds() - started);
    if refused > 0 {
        eprintln!("Dynamo refused {refused} events");
    }
    took
}

fn hashes_of(tokens: &[u32], block_size: u32) -> Vec<LocalBlockHash> {
    compute_block_hash_for_seq(tokens, block_size, BlockHashOptions::default())
}

/// The events as a publisher makes them, with names that are the same in all engines: those are kept, by pod and own name.
fn events_of(
    events: &[Event],
    hashes: &[Vec<LocalBlockHash>],
    names: &mut HashMap<(u64, u64), u64>,
) -> Vec<RouterEvent> {
    let event_of = |(at, (event, hashes)): (usize, (&Event, &Vec<LocalBlockHash>))| {
        let name = |names: &HashMap<(u64, u64), u64>, hash: u64| {
            ExternalSequenceBlockHash(names[&(event.pod, hash)])
        };
        let data = if event.is_stored {
            let parent_hash = event.parent.map(|hash| name(names, hash));
            let mut parent = parent_hash.map(|hash| hash.0);
            let blocks = event
                .hashes
                .iter()
                .zip(hashes)
                .map(|(&hash, &tokens_hash)| {
                    let own = parent.map_or(tokens_hash.0, |before| {
                        compute_next_seq_hash(before, tokens_hash)
                    });
                    parent = Some(own);
                    names.insert((event.pod, hash), own);
                    KvCacheStoredBlockData {
                        block_hash: ExternalSequenceBlockHash(own),
                        tokens_hash,
                        mm_extra_info: None,
                    }
                });
            let blocks = blocks.collect();
            KvCacheEventData::Stored(KvCacheStoreData {
                parent_hash,
                start_position: None,
                blocks,
            })
        } else {
            let block_hashes = event.hashes.iter().map(|&hash| name(names, hash)).collect();
            KvCacheEventData::Removed(KvCacheRemoveData { block_hashes })
        };
        RouterEvent::new(
            event.pod,
            KvCacheEvent {
                event_id: at as u64,
                data,
                dp_rank: 0,
            },
        )
    };
    events
        .iter()
        .zip(hashes)
        .enumerate()
        .map(event_of)
        .collect()
}

/// Blocks by the name of the pod.
fn answer(tree: &RadixTree, work: &Workload, tokens: &[u32]) -> HashMap<String, u32> {
    let scores = tree
        .find_matches(hashes_of(tokens, work.block_size), false)
        .scores;
    let named = |(worker, blocks): (_, u32)| {
        let worker: dynamo_kv_router::protocols::WorkerWithDpRank = worker;
        (work.pods[worker.worker_id as usize].clone(), blocks)
    };
    scores.into_iter().map(named).collect()
}

/// Microseconds for 512 blocks, by the blocks that are really there.
fn match512(tree: &RadixTree, work: &Workload) -> Option<f64> {
    let long: Vec<_> = work
        .questions
        .iter()
        .filter(|question| question.deepest >= LONG_BLOCKS)
        .collect();
    if long.is_empty() {
        return None;
    }
    let (clock, started) = (Instant::now(), cpu_seconds());
    let mut blocks = 0;
    while clock.elapsed() < MATCH_FOR {
        for question in &long {
            std::hint::black_box(
                tree.find_matches(hashes_of(&question.tokens, work.block_size), false),
            );
            blocks += question.deepest;
        }
    }
    Some(1e6 * (cpu_seconds() - started) * 512.0 / blocks as f64)
}

/// What the whole process has used.
fn cpu_seconds() -> f64 {
    ProcessTime::now().as_duration().as_secs_f64()
}
