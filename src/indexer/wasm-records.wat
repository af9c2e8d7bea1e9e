;; Many records at a time: `Holdings`, `Blocks` and `Holders` do the same with each in plain JavaScript, and are the oracle.
;; All addresses are in bytes. Made into wasm-records-code.ts by `npm run build:wasm`.
(module
  ;; See `WasmRecords`. Columns of a run of up to 4,096 blocks: names from byte 0 on and local hashes from 32768 on, both pairs
  ;; of words, as chained hashes from 65536 on; proofs from 98304 on; holdings from 114688 on; a word for the block that comes
  ;; before the first, at 131132, and blocks from 131136 on. From 163840 on, the number of the first record that was given back,
  ;; and of the first that was never taken, and what else `release` tells. Records of blocks, of 28 bytes, begin at 262144,
  ;; those of holdings, of 20, at 1879310400.
  (memory (import "records" "memory") 65536 65536 shared)

  ;; See `proofOf`. The parent's name, if there is one, is that of what comes before the first.
  (func (export "prove") (param $count i32) (param $hasParent i32) (param $parentLow i32) (param $parentHigh i32)
    (local $at i32) (local $end i32) (local $low i32) (local $high i32) (local $mixed i32)
    (local.set $end (i32.shl (local.get $count) (i32.const 2)))
    (block $done
      (loop $blocks
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (local.set $low (i32.load offset=32768 (i32.shl (local.get $at) (i32.const 1))))
        (local.set $high (i32.load offset=32772 (i32.shl (local.get $at) (i32.const 1))))
        (local.set $mixed
          (select
            (i32.xor
              (i32.mul (i32.xor (local.get $parentLow) (local.get $high)) (i32.const 0x85ebca6b))
              (i32.mul (local.get $parentHigh) (i32.const 0xc2b2ae35)))
            (i32.const 0x9e3779b9)
            (local.get $hasParent)))
        (local.set $mixed
          (i32.mul
            (i32.xor
              (i32.xor (local.get $mixed) (i32.shr_u (local.get $mixed) (i32.const 15)))
              (local.get $low))
            (i32.const 0x27d4eb2f)))
        (local.set $mixed
          (i32.mul
            (i32.xor
              (i32.xor (local.get $mixed) (i32.shr_u (local.get $mixed) (i32.const 13)))
              (local.get $high))
            (i32.const 0x165667b1)))
        (i32.store offset=98304
          (local.get $at)
          (i32.and
            (i32.xor (local.get $mixed) (i32.shr_u (local.get $mixed) (i32.const 16)))
            (i32.const 0xffffff)))
        (local.set $parentLow (i32.load (i32.shl (local.get $at) (i32.const 1))))
        (local.set $parentHigh (i32.load offset=4 (i32.shl (local.get $at) (i32.const 1))))
        (local.set $hasParent (i32.const 1))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $blocks))))

  ;; Makes chained hashes of local ones, the first chained on this one. See `SeededBlockHasher.chain`.
  (func (export "chain")
    (param $from i32) (param $to i32) (param $low i32) (param $high i32) (param $lowMultiplier i32) (param $highMultiplier i32)
    (local $at i32) (local $end i32)
    (local.set $at (i32.shl (local.get $from) (i32.const 3)))
    (local.set $end (i32.shl (local.get $to) (i32.const 3)))
    (block $done
      (loop $blocks
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (local.set $low
          (i32.add
            (i32.mul
              (i32.xor (local.get $low) (i32.shr_u (local.get $low) (i32.const 15)))
              (local.get $lowMultiplier))
            (i32.load offset=32768 (local.get $at))))
        (local.set $high
          (i32.add
            (i32.mul
              (i32.xor (local.get $high) (i32.shr_u (local.get $high) (i32.const 13)))
              (local.get $highMultiplier))
            (i32.load offset=32772 (local.get $at))))
        (i32.store offset=65536 (local.get $at) (local.get $low))
        (i32.store offset=65540 (local.get $at) (local.get $high))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $blocks))))

  ;; See `Records.takeAll` and `Holdings.createAll`. $upper and $lower: the parts of the source's number.
  (func (export "createHoldings")
    (param $from i32) (param $to i32) (param $upper i32) (param $lower i32) (param $places i32)
    (param $free i32) (param $next i32)
    (local $at i32) (local $end i32) (local $holding i32) (local $record i32)
    (local.set $at (i32.shl (local.get $from) (i32.const 2)))
    (local.set $end (i32.shl (local.get $to) (i32.const 2)))
    (block $done
      (loop $blocks
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (if (local.get $free)
          (then
            (local.set $holding (local.get $free))
            (local.set $record (i32.mul (local.get $holding) (i32.const 20)))
            (local.set $free (i32.load offset=1879310400 (local.get $record))))
          (else
            (local.set $holding (local.get $next))
            (local.set $record (i32.mul (local.get $holding) (i32.const 20)))
            (local.set $next (i32.add (local.get $next) (i32.const 1)))))
        (i32.store offset=114688 (local.get $at) (local.get $holding))
        (i64.store offset=1879310400 align=4
          (local.get $record)
          (i64.load align=4 (i32.shl (local.get $at) (i32.const 1))))
        (i32.store offset=1879310408
          (local.get $record)
          (i32.or (i32.load offset=98304 (local.get $at)) (local.get $upper)))
        (i32.store offset=1879310412 (local.get $record) (local.get $places))
        (i32.store offset=1879310416 (local.get $record) (local.get $lower))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $blocks)))
    (i32.store offset=163840 (i32.const 0) (local.get $free))
    (i32.store offset=163844 (i32.const 0) (local.get $next)))

  ;; See `Blocks.countFollowing`; what follows stands in the column of blocks afterwards.
  (func (export "findFollowing")
    (param $block i32) (param $context i32) (param $from i32) (param $to i32) (result i32)
    (local $at i32) (local $end i32) (local $record i32)
    (local.set $at (i32.shl (local.get $from) (i32.const 2)))
    (local.set $end (i32.shl (local.get $to) (i32.const 2)))
    (local.set $record (i32.mul (local.get $block) (i32.const 28)))
    (block $done
      (loop $blocks
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (local.set $record (i32.add (local.get $record) (i32.const 28)))
        (br_if $done
          (i64.ne
            (i64.load offset=262144 align=4 (local.get $record))
            (i64.load offset=65536 align=4 (i32.shl (local.get $at) (i32.const 1)))))
        (br_if $done (i32.ne (i32.load offset=262152 (local.get $record)) (local.get $context)))
        (local.set $block (i32.add (local.get $block) (i32.const 1)))
        (i32.store offset=131136 (local.get $at) (local.get $block))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $blocks)))
    (i32.sub (i32.shr_u (local.get $at) (i32.const 2)) (local.get $from)))

  ;; How many of so many blocks, of the records behind this one, follow and are noted to be like the ones before, up to the
  ;; first that is not so. See `Blocks.countLikeFollowing`.
  (func (export "countLike") (param $block i32) (param $most i32) (result i32)
    (local $record i32) (local $end i32)
    (local.set $record (i32.mul (local.get $block) (i32.const 28)))
    (local.set $end (i32.add (local.get $record) (i32.mul (local.get $most) (i32.const 28))))
    (block $done
      (loop $blocks
        (br_if $done (i32.eq (local.get $record) (local.get $end)))
        (br_if $done
          (i32.ne
            (i32.and (i32.load offset=262196 (local.get $record)) (i32.const 0xc0000000))
            (i32.const 0xc0000000)))
        (local.set $record (i32.add (local.get $record) (i32.const 28)))
        (br $blocks)))
    (i32.sub (i32.div_u (local.get $record) (i32.const 28)) (local.get $block)))

  ;; See `Records.takeAll` and `Blocks.createAll`; the holdings know their blocks afterwards. Returns how many follow.
  (func (export "createBlocks")
    (param $from i32) (param $to i32) (param $before i32) (param $context i32) (param $epoch i32) (param $mayFollow i32)
    (param $free i32) (param $next i32) (result i32)
    (local $at i32) (local $first i32) (local $end i32) (local $block i32) (local $record i32) (local $holding i32)
    (local $follows i32) (local $following i32)
    (local.set $first (i32.shl (local.get $from) (i32.const 2)))
    (local.set $at (local.get $first))
    (local.set $end (i32.shl (local.get $to) (i32.const 2)))
    (block $done
      (loop $blocks
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (if (local.get $free)
          (then
            (local.set $block (local.get $free))
            (local.set $record (i32.mul (local.get $block) (i32.const 28)))
            (local.set $free (i32.load offset=262144 (local.get $record))))
          (else
            (local.set $block (local.get $next))
            (local.set $record (i32.mul (local.get $block) (i32.const 28)))
            (local.set $next (i32.add (local.get $next) (i32.const 1)))))
        (i32.store offset=131136 (local.get $at) (local.get $block))
        (i64.store offset=262144 align=4
          (local.get $record)
          (i64.load offset=65536 align=4 (i32.shl (local.get $at) (i32.const 1))))
        (i32.store offset=262152 (local.get $record) (local.get $context))
        (local.set $holding (i32.load offset=114688 (local.get $at)))
        (i32.store offset=262156 (local.get $record) (local.get $holding))
        (i32.store offset=262160 (local.get $record) (local.get $before))
        (local.set $follows
          (i32.and
            (i32.and (local.get $mayFollow) (i32.ne (local.get $before) (i32.const 0)))
            (i32.eq (local.get $block) (i32.add (local.get $before) (i32.const 1)))))
        (local.set $following (i32.add (local.get $following) (local.get $follows)))
        (i32.store offset=262168
          (local.get $record)
          (i32.or (local.get $epoch) (i32.shl (local.get $follows) (i32.const 30))))
        (if (i32.ne (local.get $at) (local.get $first))
          (then
            (i32.store offset=262164 (i32.mul (local.get $before) (i32.const 28)) (local.get $block))))
        (local.set $holding (i32.mul (local.get $holding) (i32.const 20)))
        (i32.store offset=1879310412
          (local.get $holding)
          (i32.or (i32.load offset=1879310412 (local.get $holding)) (local.get $block)))
        (local.set $before (local.get $block))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $blocks)))
    (i32.store offset=163840 (i32.const 0) (local.get $free))
    (i32.store offset=163844 (i32.const 0) (local.get $next))
    (local.get $following))

  ;; See `Holdings.setBlocks` and `Holders.addAll`: the first one that is left to that knows its block, too.
  (func (export "addHolders")
    (param $from i32) (param $to i32) (param $source i32) (param $most i32) (result i32)
    (local $at i32) (local $end i32) (local $block i32) (local $record i32) (local $holding i32) (local $head i32)
    (local $owned i32) (local $other i32) (local $length i32) (local $next i32)
    (local.set $at (i32.shl (local.get $from) (i32.const 2)))
    (local.set $end (i32.shl (local.get $to) (i32.const 2)))
    (block $done
      (loop $blocks
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (local.set $block (i32.load offset=131136 (local.get $at)))
        (local.set $holding (i32.load offset=114688 (local.get $at)))
        (local.set $record (i32.mul (local.get $block) (i32.const 28)))
        (local.set $head (i32.load offset=262156 (local.get $record)))
        (if (i32.ne (local.get $head) (local.get $holding))
          (then
            (local.set $owned (i32.mul (local.get $holding) (i32.const 20)))
            (i32.store offset=1879310412
              (local.get $owned)
              (i32.or (i32.load offset=1879310412 (local.get $owned)) (local.get $block)))
            (br_if $done (i32.le_s (local.get $head) (i32.const 0)))
            ;; See `Holdings.isShortWithout`.
            (local.set $other (local.get $head))
            (local.set $length (i32.const 1))
            (loop $others
              (local.set $other (i32.mul (local.get $other) (i32.const 20)))
              (local.set $next (i32.load offset=1879310416 (local.get $other)))
              (br_if $done
                (i32.or
                  (i32.ge_u (local.get $length) (local.get $most))
                  (i32.eq
                    (i32.or
                      (i32.shl
                        (i32.shr_u (i32.load offset=1879310408 (local.get $other)) (i32.const 24))
                        (i32.const 5))
                      (i32.shr_u (local.get $next) (i32.const 27)))
                    (local.get $source))))
              (local.set $length (i32.add (local.get $length) (i32.const 1)))
              (br_if $others (local.tee $other (i32.and (local.get $next) (i32.const 0x7ffffff)))))
            ;; See `Blocks.setUnlike`.
            (i32.store offset=262168
              (local.get $record)
              (i32.and (i32.load offset=262168 (local.get $record)) (i32.const 0x7fffffff)))
            (i32.store offset=262196
              (local.get $record)
              (i32.and (i32.load offset=262196 (local.get $record)) (i32.const 0x7fffffff)))
            (i32.store offset=262156 (local.get $record) (local.get $holding))
            (i32.store offset=1879310416
              (local.get $owned)
              (i32.or
                (i32.and (i32.load offset=1879310416 (local.get $owned)) (i32.const 0xf8000000))
                (local.get $head)))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $blocks)))
    (i32.sub (i32.shr_u (local.get $at) (i32.const 2)) (local.get $from)))

  ;; Of the blocks from number $from on, counted from the one that comes before the first, how many have, one after the other,
  ;; the record behind that of the one before, and are its next older one, up to $newer; the first one counts in any case. All
  ;; of them are of this epoch afterwards. See `Blocks.mention`.
  (func (export "mention") (param $from i32) (param $to i32) (param $newer i32) (param $epoch i32) (result i32)
    (local $at i32) (local $end i32) (local $block i32) (local $record i32)
    (local.set $at (i32.shl (local.get $from) (i32.const 2)))
    (local.set $end (i32.shl (local.get $to) (i32.const 2)))
    (local.set $block (i32.load offset=131132 (local.get $at)))
    (local.set $record (i32.mul (local.get $block) (i32.const 28)))
    (loop $blocks
      (i32.store offset=262168
        (local.get $record)
        (i32.or
          (i32.and (i32.load offset=262168 (local.get $record)) (i32.const 0xc0000000))
          (local.get $epoch)))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (local.set $block (i32.add (local.get $block) (i32.const 1)))
      (if (i32.lt_u (local.get $at) (local.get $end))
        (then
          (if (i32.eq (i32.load offset=131132 (local.get $at)) (local.get $block))
            (then
              (if
                (i32.and
                  (i32.eq (i32.load offset=262164 (local.get $record)) (local.get $block))
                  (i32.ne (local.get $block) (local.get $newer)))
                (then
                  (local.set $record (i32.add (local.get $record) (i32.const 28)))
                  (br $blocks))))))))
    (i32.sub (i32.shr_u (local.get $at) (i32.const 2)) (local.get $from)))

  ;; See `HolderIndex.releaseAll`: takes the holdings of these places, those that are not 0, out of their blocks' lists, and
  ;; gives their records back, up to one that lies elsewhere, or whose block has a crowd; returns its number. Blocks that nobody holds
  ;; any more come into the column of blocks from number $forgotten on. Behind the numbers of records that come next stand how
  ;; many were given back, how many blocks the source has lost, and the number behind the last one that came.
  (func (export "release")
    (param $from i32) (param $to i32) (param $source i32) (param $places i32) (param $forgotten i32) (param $free i32)
    (result i32)
    (local $at i32) (local $end i32) (local $holding i32) (local $record i32) (local $block i32) (local $head i32)
    (local $other i32) (local $before i32) (local $next i32) (local $isHeld i32) (local $lost i32) (local $name i32)
    (local $released i32)
    (local.set $at (i32.shl (local.get $from) (i32.const 2)))
    (local.set $end (i32.shl (local.get $to) (i32.const 2)))
    (local.set $forgotten (i32.shl (local.get $forgotten) (i32.const 2)))
    (block $done
      (loop $holdings
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (local.set $holding (i32.load offset=114688 (local.get $at)))
        (if (local.get $holding)
          (then
            (local.set $record (i32.mul (local.get $holding) (i32.const 20)))
            (local.set $block (i32.load offset=1879310412 (local.get $record)))
            (br_if $done (i32.ne (i32.and (local.get $block) (i32.const 0xfc000000)) (local.get $places)))
            (local.set $block (i32.mul (i32.and (local.get $block) (i32.const 0x3ffffff)) (i32.const 28)))
            (local.set $head (i32.load offset=262156 (local.get $block)))
            (br_if $done (i32.lt_s (local.get $head) (i32.const 0)))
            ;; See `Blocks.setUnlike`.
            (i32.store offset=262168
              (local.get $block)
              (i32.and (i32.load offset=262168 (local.get $block)) (i32.const 0x7fffffff)))
            (i32.store offset=262196
              (local.get $block)
              (i32.and (i32.load offset=262196 (local.get $block)) (i32.const 0x7fffffff)))
            (local.set $before (i32.const 0))
            (local.set $isHeld (i32.const 0))
            (local.set $other (local.get $head))
            (block $listed
              (loop $others
                (br_if $listed (i32.eqz (local.get $other)))
                (local.set $name (i32.mul (local.get $other) (i32.const 20)))
                (local.set $next (i32.load offset=1879310416 (local.get $name)))
                (if (i32.eq (local.get $other) (local.get $holding))
                  (then
                    (local.set $next (i32.and (local.get $next) (i32.const 0x7ffffff)))
                    (if (local.get $before)
                      (then
                        (i32.store offset=1879310416
                          (local.get $before)
                          (i32.or
                            (i32.and (i32.load offset=1879310416 (local.get $before)) (i32.const 0xf8000000))
                            (local.get $next))))
                      (else (i32.store offset=262156 (local.get $block) (local.get $next))))
                    (local.set $other (local.get $next)))
                  (else
                    (local.set $isHeld
                      (i32.or
                        (local.get $isHeld)
                        (i32.eq
                          (i32.or
                            (i32.shl
                              (i32.shr_u (i32.load offset=1879310408 (local.get $name)) (i32.const 24))
                              (i32.const 5))
                            (i32.shr_u (local.get $next) (i32.const 27)))
                          (local.get $source))))
                    (local.set $before (local.get $name))
                    (local.set $other (i32.and (local.get $next) (i32.const 0x7ffffff)))))
                (br $others)))
            (local.set $lost (i32.add (local.get $lost) (i32.eqz (local.get $isHeld))))
            (i32.store offset=1879310408 (local.get $record) (i32.const 0))
            (i32.store offset=1879310416 (local.get $record) (i32.const 0))
            (i32.store offset=1879310400 (local.get $record) (local.get $free))
            (local.set $free (local.get $holding))
            (local.set $released (i32.add (local.get $released) (i32.const 1)))
            (if (i32.eqz (i32.load offset=262156 (local.get $block)))
              (then
                (i32.store offset=131136
                  (local.get $forgotten)
                  (i32.div_u (local.get $block) (i32.const 28)))
                (local.set $forgotten (i32.add (local.get $forgotten) (i32.const 4)))))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $holdings)))
    (i32.store offset=163840 (i32.const 0) (local.get $free))
    (i32.store offset=163848 (i32.const 0) (local.get $released))
    (i32.store offset=163852 (i32.const 0) (local.get $lost))
    (i32.store offset=163856 (i32.const 0) (i32.shr_u (local.get $forgotten) (i32.const 2)))
    (i32.shr_u (local.get $at) (i32.const 2)))

  ;; See `Blocks.freeAll`: gives back the records of these blocks of a context, from number $from to before $to, each of which
  ;; follows, is followed by none, and is neither its context's newest nor its oldest one, up to the first that is not so;
  ;; returns its number.
  (func (export "free") (param $from i32) (param $to i32) (param $context i32) (param $free i32) (result i32)
    (local $at i32) (local $end i32) (local $block i32) (local $record i32) (local $newer i32) (local $older i32)
    (local.set $at (i32.shl (local.get $from) (i32.const 2)))
    (local.set $end (i32.shl (local.get $to) (i32.const 2)))
    (block $done
      (loop $blocks
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (local.set $block (i32.load offset=131136 (local.get $at)))
        (local.set $record (i32.mul (local.get $block) (i32.const 28)))
        (local.set $newer (i32.load offset=262160 (local.get $record)))
        (local.set $older (i32.load offset=262164 (local.get $record)))
        (br_if $done
          (i32.or
            (i32.or
              (i32.or
                (i32.eqz (i32.and (i32.load offset=262168 (local.get $record)) (i32.const 0x40000000)))
                (i32.and (i32.load offset=262196 (local.get $record)) (i32.const 0x40000000)))
              (i32.or (i32.eqz (local.get $newer)) (i32.eqz (local.get $older))))
            (i32.ne (i32.load offset=262152 (local.get $record)) (local.get $context))))
        (i32.store offset=262164 (i32.mul (local.get $newer) (i32.const 28)) (local.get $older))
        (i32.store offset=262160 (i32.mul (local.get $older) (i32.const 28)) (local.get $newer))
        (i32.store offset=262168 (local.get $record) (i32.const 0))
        (i32.store offset=262152 (local.get $record) (i32.const 0))
        (i32.store offset=262144 (local.get $record) (local.get $free))
        (local.set $free (local.get $block))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $blocks)))
    (i32.store offset=163840 (i32.const 0) (local.get $free))
    (i32.shr_u (local.get $at) (i32.const 2)))
)
