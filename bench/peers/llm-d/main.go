// Feeds llm-d's own event pool and in-memory index with a workload file, and asks as its indexer does: keys of the tokens,
// lookup, pods that have all blocks up to one. Its scorer cannot be linked without a native tokenizer library: what it
// does is done here. Its index knows a block by the engine's hash, which has to be the one that it makes of the tokens
// itself: the events carry the names that engines with `sha256_cbor` and its seed would give, put in before the clock runs.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-logr/logr"
	"github.com/llm-d/llm-d-kv-cache-manager/pkg/kvcache/kvblock"
	"github.com/llm-d/llm-d-kv-cache-manager/pkg/kvcache/kvevents"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"workload"
)

// podsPerKey is above llm-d's default of 10, with which it forgets pods that have a block.
const podsPerKey = 1024

func main() {
	work := workload.Read()
	log.SetLogger(logr.Discard())
	names := engines{}
	names.rename(work.Messages)
	names.rename(work.Removals)
	config := kvblock.DefaultInMemoryIndexConfig()
	config.PodCacheSize = podsPerKey
	index, err := kvblock.NewInMemoryIndex(config)
	if err != nil {
		workload.Fail(err)
	}
	processor := kvblock.NewChunkedTokenDatabase(&kvblock.TokenProcessorConfig{BlockSize: work.BlockSize})
	work.Measure(func(messages []workload.Message) { ingest(index, messages) }, func(tokens []uint32) workload.Answer {
		return match(index, processor, tokens)
	})
}

// ingest runs llm-d's event pool with its default workers until it has taken in all messages.
func ingest(index kvblock.Index, messages []workload.Message) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	config := kvevents.DefaultConfig()
	config.ZMQEndpoint = "inproc://nobody"
	pool := kvevents.NewPool(config, index)
	pool.Start(ctx)
	for _, message := range messages {
		pool.AddTask(&kvevents.Message{
			Payload:       message.Payload,
			PodIdentifier: message.Pod,
			ModelName:     workload.Model,
		})
	}
	pool.Shutdown(ctx)
}

func match(index kvblock.Index, processor kvblock.TokenProcessor, tokens []uint32) workload.Answer {
	answer := workload.Answer{}
	keys := processor.TokensToKVBlockKeys(tokens, workload.Model)
	if len(keys) == 0 {
		return answer
	}
	pods, err := index.Lookup(context.Background(), keys, sets.New[string]())
	if err != nil {
		workload.Fail(err)
	}
	for at, key := range keys {
		isLast := true
		for _, pod := range pods[key] {
			if answer[pod.PodIdentifier] == at {
				answer[pod.PodIdentifier] = at + 1
				isLast = false
			}
		}
		if isLast {
			break
		}
	}
	return answer
}

// engines has the whole hash of each block, by pod and the name in the workload.
type engines map[block][]byte

type block struct {
	pod  string
	name uint64
}

// rename puts the names of engines that hash with `sha256_cbor` in the place of those in the payloads.
func (names engines) rename(messages []workload.Message) {
	for _, message := range messages {
		for _, event := range message.Events {
			names.renameEvent(message, event)
		}
	}
}

func (names engines) renameEvent(message workload.Message, event workload.Event) {
	if !event.IsStored {
		for _, name := range event.Hashes {
			replace(message.Payload, name, names[block{message.Pod, name}])
		}
		return
	}
	parent := initialHash()
	if event.HasParent {
		parent = names[block{message.Pod, event.Parent}]
		replace(message.Payload, event.Parent, parent)
	}
	size := len(event.Tokens) / len(event.Hashes)
	for at, name := range event.Hashes {
		parent = hash([]any{parent, event.Tokens[at*size : (at+1)*size], nil})
		names[block{message.Pod, name}] = parent
		replace(message.Payload, name, parent)
	}
}

// replace overwrites a 64-bit integer of MessagePack by the last 8 bytes of a hash.
func replace(payload []byte, name uint64, hash []byte) {
	const uint64Tag = 0xcf
	at := bytes.Index(payload, binary.BigEndian.AppendUint64([]byte{uint64Tag}, name))
	if at < 0 || len(hash) != sha256.Size {
		workload.Fail(fmt.Errorf("block %d is not in the payload as 64 bits, or has no parent", name))
	}
	copy(payload[at+1:], hash[sha256.Size-8:])
}

func initialHash() []byte {
	return hash("")
}

func hash(value any) []byte {
	encoded, err := canonical.Marshal(value)
	if err != nil {
		workload.Fail(err)
	}
	sum := sha256.Sum256(encoded)
	return sum[:]
}

var canonical = func() cbor.EncMode {
	mode, err := cbor.CanonicalEncOptions().EncMode()
	if err != nil {
		workload.Fail(err)
	}
	return mode
}()
