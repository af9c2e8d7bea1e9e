// Package workload reads the events and questions that bench/index/workload-file.ts writes, and tells what an indexer
// made of them.
package workload

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

// Model is the name of the one model.
const Model = "m"

// longBlocks is how deep a question has to go to be timed, as in bench/index/measures.ts.
const longBlocks = 256

// matchFor is long enough for a coarse clock of CPU time.
const matchFor = 300 * time.Millisecond

// Message is what one engine sends: the bytes, and its events as numbers.
type Message struct {
	Pod     string
	Payload []byte
	Events  []Event
}

// Event is one event of a message.
type Event struct {
	IsStored  bool
	HasParent bool
	Parent    uint64
	Hashes    []uint64
	Tokens    []uint32
}

// Question is a prompt, and how many blocks of it the pod with the most has.
type Question struct {
	Tokens  []uint32
	Deepest uint32
}

// Workload is all of a file.
type Workload struct {
	BlockSize int
	Pods      []string
	Messages  []Message
	// Removals may come after Messages: each takes one block from a pod that has it.
	Removals  []Message
	Questions []Question
}

// Answer is what an indexer says of one question, by pod.
type Answer map[string]int

// result is the line that bench/index/peers.ts reads.
type result struct {
	IngestCPUSeconds float64  `json:"ingestCpuSeconds"`
	IngestSeconds    float64  `json:"ingestSeconds"`
	RemoveCPUSeconds float64  `json:"removeCpuSeconds"`
	RemoveSeconds    float64  `json:"removeSeconds"`
	Match512Us       *float64 `json:"match512Us"`
	Answers          []Answer `json:"answers"`
}

// Read takes in the file that is the program's only argument; the program ends with a message if it cannot be read.
func Read() Workload {
	if len(os.Args) != 2 {
		Fail(fmt.Errorf("usage: %s WORKLOAD", os.Args[0]))
	}
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		Fail(err)
	}
	if string(data[:8]) != "KVWORK02" {
		Fail(fmt.Errorf("%s is no workload file", os.Args[1]))
	}
	in := &reader{data: data, at: 8}
	workload := Workload{BlockSize: int(in.u32())}
	pods, messages, removals, questions := in.u32(), in.u32(), in.u32(), in.u32()
	for range pods {
		workload.Pods = append(workload.Pods, string(in.bytes()))
	}
	workload.Messages = in.messages(messages, workload.Pods)
	workload.Removals = in.messages(removals, workload.Pods)
	workload.Questions = make([]Question, questions)
	for at := range workload.Questions {
		deepest := in.u32()
		workload.Questions[at] = Question{Deepest: deepest, Tokens: in.words()}
	}
	return workload
}

// Measure times the messages, the questions that go deep and the removals, takes all answers, and prints the one line of
// JSON.
func (workload Workload) Measure(ingest func(messages []Message), match func(tokens []uint32) Answer) {
	out := result{}
	out.IngestSeconds, out.IngestCPUSeconds = timed(func() { ingest(workload.Messages) })
	for _, question := range workload.Questions {
		out.Answers = append(out.Answers, match(question.Tokens))
	}
	out.Match512Us = workload.match512(match)
	out.RemoveSeconds, out.RemoveCPUSeconds = timed(func() { ingest(workload.Removals) })
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		Fail(err)
	}
}

// timed gives the seconds that went by during a step, and those of CPU, after a collection.
func timed(step func()) (float64, float64) {
	runtime.GC()
	started, startedCPU := time.Now(), cpuSeconds()
	step()
	return time.Since(started).Seconds(), cpuSeconds() - startedCPU
}

// match512 is the microseconds for 512 blocks, by the blocks that are really there; nil where no question goes deep.
func (workload Workload) match512(match func(tokens []uint32) Answer) *float64 {
	runtime.GC()
	blocks, started, startedCPU := 0, time.Now(), cpuSeconds()
	for time.Since(started) < matchFor {
		before := blocks
		for _, question := range workload.Questions {
			if question.Deepest >= longBlocks {
				match(question.Tokens)
				blocks += int(question.Deepest)
			}
		}
		if blocks == before {
			return nil
		}
	}
	microseconds := 1e6 * (cpuSeconds() - startedCPU) * 512 / float64(blocks)
	return &microseconds
}

// Fail ends the program with a message.
func Fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// cpuSeconds is what the whole process has used, the garbage collector included.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		Fail(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

type reader struct {
	data []byte
	at   int
}

func (in *reader) u32() uint32 {
	in.at += 4
	return binary.LittleEndian.Uint32(in.data[in.at-4:])
}

func (in *reader) u64() uint64 {
	in.at += 8
	return binary.LittleEndian.Uint64(in.data[in.at-8:])
}

func (in *reader) bytes() []byte {
	length := int(in.u32())
	in.at += length
	return in.data[in.at-length : in.at : in.at]
}

func (in *reader) messages(count uint32, pods []string) []Message {
	messages := make([]Message, count)
	for at := range messages {
		message := &messages[at]
		message.Pod = pods[in.u32()]
		message.Payload = in.bytes()
		message.Events = make([]Event, in.u32())
		for event := range message.Events {
			message.Events[event] = in.event()
		}
	}
	return messages
}

func (in *reader) event() Event {
	event := Event{IsStored: in.u32() == 0, HasParent: in.u32() == 1, Parent: in.u64()}
	event.Hashes = make([]uint64, in.u32())
	for hash := range event.Hashes {
		event.Hashes[hash] = in.u64()
	}
	event.Tokens = in.words()
	return event
}

func (in *reader) words() []uint32 {
	words := make([]uint32, in.u32())
	for at := range words {
		words[at] = in.u32()
	}
	return words
}
