//! Reads the events and questions that bench/index/workload-file.ts writes.

use std::fs;

/// One event of a message, as numbers.
pub struct Event {
    pub pod: u64,
    pub is_stored: bool,
    pub parent: Option<u64>,
    pub hashes: Vec<u64>,
    pub tokens: Vec<u32>,
}

/// A prompt, and how many blocks of it the pod with the most has.
pub struct Question {
    pub deepest: usize,
    pub tokens: Vec<u32>,
}

pub struct Workload {
    pub block_size: u32,
    pub pods: Vec<String>,
    /// Of all messages, in order.
    pub events: Vec<Event>,
    /// What may come after them: each takes one block from a pod that has it.
    pub removals: Vec<Event>,
    pub questions: Vec<Question>,
}

/// Panics where the file cannot be read or is something else.
pub fn read(path: &str) -> Workload {
    let data = fs::read(path).expect("the workload file can be read");
    assert!(data.starts_with(b"KVWORK02"), "{path} is no workload file");
    let mut reader = Reader { data: &data, at: 8 };
    let block_size = reader.u32();
    let (pods, messages) = (reader.u32(), reader.u32());
    let (removals, questions) = (reader.u32(), reader.u32());
    Workload {
        block_size,
        pods: (0..pods)
            .map(|_| String::from_utf8_lossy(reader.bytes()).into_owned())
            .collect(),
        events: (0..messages).flat_map(|_| reader.message()).collect(),
        removals: (0..removals).flat_map(|_| reader.message()).collect(),
        questions: (0..questions)
            .map(|_| Question {
                deepest: reader.u32() as usize,
                tokens: reader.words(),
            })
            .collect(),
    }
}

struct Reader<'data> {
    data: &'data [u8],
    at: usize,
}

impl<'data> Reader<'data> {
    fn raw(&mut self, length: usize) -> &'data [u8] {
        let part = &self.data[self.at..self.at + length];
        self.at += length;
        part
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.raw(4).try_into().expect("4 bytes"))
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.raw(8).try_into().expect("8 bytes"))
    }

    fn bytes(&mut self) -> &'data [u8] {
        let length = self.u32() as usize;
        self.raw(length)
    }

    fn words(&mut self) -> Vec<u32> {
        let length = self.u32();
        (0..length).map(|_| self.u32()).collect()
    }

    fn message(&mut self) -> Vec<Event> {
        let pod = u64::from(self.u32());
        self.bytes();
        let count = self.u32();
        (0..count).map(|_| self.event(pod)).collect()
    }

    fn event(&mut self, pod: u64) -> Event {
        let is_stored = self.u32() == 0;
        let has_parent = self.u32() == 1;
        let parent = Some(self.u64()).filter(|_| has_parent);
        let count = self.u32();
        let hashes = (0..count).map(|_| self.u64()).collect();
        let tokens = self.words();
        Event {
            pod,
            is_stored,
            parent,
            hashes,
            tokens,
        }
    }
}
