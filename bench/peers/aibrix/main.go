// Feeds AIBrix's own decoder and index with a workload file, as its event handler (pkg/kvevent/handler.go) does. Its block
// size is in bytes: AIBRIX_PREFIX_CACHE_BLOCK_SIZE has to be four times the tokens. Answers are per cent of the prompt.
package main

import (
	"encoding/binary"

	"github.com/vllm-project/aibrix/pkg/cache/kvcache"
	index "github.com/vllm-project/aibrix/pkg/utils/syncprefixcacheindexer"
	"workload"
)

// noAdapter is AIBrix's LoRA id of a pod without one.
const noAdapter = -1

func main() {
	work := workload.Read()
	table := index.NewSyncPrefixHashTable()
	defer table.Close()
	ready := make(map[string]struct{})
	for _, pod := range work.Pods {
		ready[pod] = struct{}{}
	}
	work.Measure(func(messages []workload.Message) {
		for _, message := range messages {
			handle(table, message)
		}
	}, func(tokens []uint32) workload.Answer {
		bytes := make([]byte, 4*len(tokens))
		for at, token := range tokens {
			binary.BigEndian.PutUint32(bytes[4*at:], token)
		}
		pods, _ := table.MatchPrefix(workload.Model, noAdapter, bytes, ready)
		return pods
	})
}

func handle(table *index.SyncPrefixHashTable, message workload.Message) {
	batch, err := kvcache.DecodeEventBatch(message.Payload, workload.Model, message.Pod)
	if err != nil {
		workload.Fail(err)
	}
	for _, event := range batch.Events {
		switch event := event.(type) {
		case *kvcache.BlockStoredEvent:
			err = store(table, message.Pod, event)
		case *kvcache.BlockRemovedEvent:
			err = table.ProcessBlockRemoved(index.BlockRemoved{
				BlockHashes: event.BlockHashes,
				ModelName:   workload.Model,
				LoraID:      noAdapter,
				SourcePod:   message.Pod,
			})
		}
		if err != nil {
			workload.Fail(err)
		}
	}
}

// store hands over one block at a time, each with the parent that it has: of several blocks in one call AIBrix 0.6.0 gives
// the first one's parent to all, and finds none but the first.
func store(table *index.SyncPrefixHashTable, pod string, event *kvcache.BlockStoredEvent) error {
	parent := event.ParentBlockHash
	for at := range event.BlockHashes {
		err := table.ProcessBlockStored(index.BlockStored{
			BlockHashes:     event.BlockHashes[at : at+1],
			ParentBlockHash: parent,
			Tokens:          event.TokenIDs[at : at+1],
			ModelName:       workload.Model,
			LoraID:          noAdapter,
			SourcePod:       pod,
		})
		if err != nil {
			return err
		}
		parent = &event.BlockHashes[at]
	}
	return nil
}
