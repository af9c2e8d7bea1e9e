;; Many slots at a time: `slots.ts` does the same with one, and is its oracle. All addresses are in bytes.
;; Made into simd-slots-code.ts by `npm run build:wasm`.
(module
  ;; That of the segments. Somewhere in it is a run: pairs of words of 128 hashes, in the place of whose first half marks come,
  ;; as many segments, in words from byte 0 on, and as many records.
  (memory (import "segments" "memory") 16 65536 shared)

  ;; Mixes hashes, up to a multiple of four of them, into marks.
  (func (export "mark") (param $run i32) (param $count i32) (param $secret i32)
    (local $from i32) (local $end i32) (local $first v128) (local $second v128) (local $mixed v128)
    (local.set $from (local.get $run))
    (local.set $end (i32.add (local.get $run) (i32.shl (local.get $count) (i32.const 2))))
    (loop $fours
      (local.set $first (v128.load (local.get $from)))
      (local.set $second (v128.load offset=16 (local.get $from)))
      (local.set $mixed
        (v128.xor
          (i32x4.mul
            (v128.xor
              (i8x16.shuffle 0 1 2 3 8 9 10 11 16 17 18 19 24 25 26 27 (local.get $first) (local.get $second))
              (i32x4.splat (local.get $secret)))
            (i32x4.splat (i32.const 0x85ebca6b)))
          (i32x4.mul
            (i8x16.shuffle 4 5 6 7 12 13 14 15 20 21 22 23 28 29 30 31 (local.get $first) (local.get $second))
            (i32x4.splat (i32.const 0xc2b2ae35)))))
      (local.set $mixed
        (i32x4.mul
          (v128.xor (local.get $mixed) (i32x4.shr_u (local.get $mixed) (i32.const 15)))
          (i32x4.splat (local.get $secret))))
      (local.set $mixed
        (i32x4.mul
          (v128.xor (local.get $mixed) (i32x4.shr_u (local.get $mixed) (i32.const 13)))
          (i32x4.splat (i32.const 0x27d4eb2f))))
      (v128.store
        (local.get $run)
        (v128.or
          (v128.xor (local.get $mixed) (i32x4.shr_u (local.get $mixed) (i32.const 16)))
          (i32x4.splat (i32.const 2))))
      (local.set $from (i32.add (local.get $from) (i32.const 32)))
      (local.set $run (i32.add (local.get $run) (i32.const 16)))
      (br_if $fours (i32.lt_u (local.get $run) (local.get $end)))))

  ;; How many of the marks are in no line in which a search for them looks, up to the first that is.
  (func (export "countMissing") (param $run i32) (param $count i32) (param $mask i32) (result i32)
    (local $i i32) (local $segment i32) (local $first i32) (local $number i32) (local $line i32) (local $mark v128)
    (block $done
      (loop $marks
        (br_if $done (i32.eq (local.get $i) (local.get $count)))
        (local.set $segment (i32.shl (i32.load offset=1024 (local.get $run)) (i32.const 2)))
        (local.set $mark (v128.load32_splat (local.get $run)))
        (local.set $first
          (i32.and (i32.shr_u (i32.load (local.get $run)) (i32.const 2)) (local.get $mask)))
        (local.set $number (local.get $first))
        (block $missing
          (loop $lines
            (local.set $line (i32.add (local.get $segment) (i32.shl (local.get $number) (i32.const 6))))
            (br_if $done
              (v128.any_true
                (v128.or
                  (i32x4.eq (v128.load (local.get $line)) (local.get $mark))
                  (i32x4.eq (v128.load offset=16 (local.get $line)) (local.get $mark)))))
            (br_if $missing (i32.eqz (i32.load offset=28 (local.get $line))))
            (local.set $number (i32.and (i32.add (local.get $number) (i32.const 1)) (local.get $mask)))
            (br_if $lines (i32.ne (local.get $number) (local.get $first)))))
        (local.set $run (i32.add (local.get $run) (i32.const 4)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $marks)))
    (local.get $i))

  ;; Of each mark the first record that stands beside it, or 0.
  (func (export "findAll") (param $run i32) (param $count i32) (param $mask i32)
    (local $end i32) (local $segment i32) (local $first i32) (local $number i32) (local $line i32) (local $hits i32)
    (local $record i32) (local $mark v128)
    (local.set $end (i32.add (local.get $run) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $marks
        (br_if $done (i32.eq (local.get $run) (local.get $end)))
        (local.set $segment (i32.shl (i32.load offset=1024 (local.get $run)) (i32.const 2)))
        (local.set $mark (v128.load32_splat (local.get $run)))
        (local.set $first
          (i32.and (i32.shr_u (i32.load (local.get $run)) (i32.const 2)) (local.get $mask)))
        (local.set $number (local.get $first))
        (local.set $record (i32.const 0))
        (block $found
          (loop $lines
            (local.set $line (i32.add (local.get $segment) (i32.shl (local.get $number) (i32.const 6))))
            (local.set $hits
              (i32.or
                (i32x4.bitmask (i32x4.eq (v128.load (local.get $line)) (local.get $mark)))
                (i32.shl
                  (i32x4.bitmask (i32x4.eq (v128.load offset=16 (local.get $line)) (local.get $mark)))
                  (i32.const 4))))
            (if (local.get $hits)
              (then
                (local.set $record
                  (i32.load offset=32
                    (i32.add (local.get $line) (i32.shl (i32.ctz (local.get $hits)) (i32.const 2)))))
                (br $found)))
            (br_if $found (i32.eqz (i32.load offset=28 (local.get $line))))
            (local.set $number (i32.and (i32.add (local.get $number) (i32.const 1)) (local.get $mask)))
            (br_if $lines (i32.ne (local.get $number) (local.get $first)))))
        (i32.store offset=1536 (local.get $run) (local.get $record))
        (local.set $run (i32.add (local.get $run) (i32.const 4)))
        (br $marks))))

  ;; Places marks and records from number $i on, up to the first whose mark is there already, or for which there is no room in
  ;; so many lines; returns its number, or in the second case, as one below 0, its complement.
  (func (export "addAll")
    (param $run i32) (param $i i32) (param $count i32) (param $mask i32) (param $steps i32) (result i32)
    (local $segment i32) (local $first i32) (local $number i32) (local $line i32) (local $step i32)
    (local $free i32) (local $hits i32) (local $low v128) (local $high v128) (local $mark v128)
    (local.set $run (i32.add (local.get $run) (i32.shl (local.get $i) (i32.const 2))))
    (block $done
    (block $full
      (loop $marks
        (br_if $done (i32.eq (local.get $i) (local.get $count)))
        (local.set $segment (i32.shl (i32.load offset=1024 (local.get $run)) (i32.const 2)))
        (local.set $mark (v128.load32_splat (local.get $run)))
        (local.set $first
          (i32.and (i32.shr_u (i32.load (local.get $run)) (i32.const 2)) (local.get $mask)))
        (local.set $number (local.get $first))
        (local.set $free (i32.const 0))
        (local.set $step (i32.const 0))
        (block $missing
          (loop $lines
            (local.set $line (i32.add (local.get $segment) (i32.shl (local.get $number) (i32.const 6))))
            (local.set $low (v128.load (local.get $line)))
            (local.set $high (v128.load offset=16 (local.get $line)))
            (br_if $done
              (v128.any_true
                (v128.or
                  (i32x4.eq (local.get $low) (local.get $mark))
                  (i32x4.eq (local.get $high) (local.get $mark)))))
            ;; What is free in a line without an empty slot was removed, in another one it is empty.
            (if (i32.eqz (i32x4.extract_lane 3 (local.get $high)))
              (then
                (br_if $missing (local.get $free))
                (br_if $full (i32.ge_u (local.get $step) (local.get $steps)))
                (local.set $free
                  (i32.add
                    (local.get $line)
                    (i32.shl
                      (i32.ctz
                        (i32.or
                          (i32x4.bitmask (i32x4.eq (local.get $low) (v128.const i32x4 0 0 0 0)))
                          (i32.shl
                            (i32x4.bitmask (i32x4.eq (local.get $high) (v128.const i32x4 0 0 0 0)))
                            (i32.const 4))))
                      (i32.const 2))))
                (br $missing)))
            (if (i32.and (i32.eqz (local.get $free)) (i32.lt_u (local.get $step) (local.get $steps)))
              (then
                (local.set $hits
                  (i32.or
                    (i32x4.bitmask (i32x4.eq (local.get $low) (v128.const i32x4 1 1 1 1)))
                    (i32.shl
                      (i32x4.bitmask (i32x4.eq (local.get $high) (v128.const i32x4 1 1 1 1)))
                      (i32.const 4))))
                (if (local.get $hits)
                  (then
                    (local.set $free
                      (i32.add (local.get $line) (i32.shl (i32.ctz (local.get $hits)) (i32.const 2))))))))
            (local.set $step (i32.add (local.get $step) (i32.const 1)))
            (local.set $number (i32.and (i32.add (local.get $number) (i32.const 1)) (local.get $mask)))
            (br_if $lines (i32.ne (local.get $number) (local.get $first)))))
        (br_if $full (i32.eqz (local.get $free)))
        (i32.store (local.get $free) (i32.load (local.get $run)))
        (i32.store offset=32 (local.get $free) (i32.load offset=1536 (local.get $run)))
        (local.set $run (i32.add (local.get $run) (i32.const 4)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $marks)))
    (return (i32.xor (local.get $i) (i32.const -1))))
    (local.get $i))

  ;; Takes out marks with their records; those that are not there become 0, and 0 is passed over. Returns how many there were.
  (func (export "removeAll") (param $run i32) (param $count i32) (param $mask i32) (result i32)
    (local $end i32) (local $segment i32) (local $first i32) (local $number i32) (local $line i32) (local $hits i32)
    (local $slot i32) (local $last i32) (local $record i32) (local $removed i32) (local $mark v128) (local $zero v128)
    (local.set $end (i32.add (local.get $run) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $marks
        (br_if $done (i32.eq (local.get $run) (local.get $end)))
        (local.set $record (i32.load offset=1536 (local.get $run)))
        (block $next
          (br_if $next (i32.eqz (local.get $record)))
          (local.set $segment (i32.shl (i32.load offset=1024 (local.get $run)) (i32.const 2)))
          (local.set $mark (v128.load32_splat (local.get $run)))
          (local.set $first
            (i32.and (i32.shr_u (i32.load (local.get $run)) (i32.const 2)) (local.get $mask)))
          (local.set $number (local.get $first))
          (block $missing
            (loop $lines
              (local.set $line (i32.add (local.get $segment) (i32.shl (local.get $number) (i32.const 6))))
              (local.set $hits
                (i32.or
                  (i32x4.bitmask (i32x4.eq (v128.load (local.get $line)) (local.get $mark)))
                  (i32.shl
                    (i32x4.bitmask (i32x4.eq (v128.load offset=16 (local.get $line)) (local.get $mark)))
                    (i32.const 4))))
              (block $none
                (loop $each
                  (br_if $none (i32.eqz (local.get $hits)))
                  (local.set $slot (i32.add (local.get $line) (i32.shl (i32.ctz (local.get $hits)) (i32.const 2))))
                  (local.set $hits (i32.and (local.get $hits) (i32.sub (local.get $hits) (i32.const 1))))
                  (br_if $each (i32.ne (i32.load offset=32 (local.get $slot)) (local.get $record))))
                (local.set $removed (i32.add (local.get $removed) (i32.const 1)))
                (if (i32.load offset=28 (local.get $line))
                  (then (i32.store (local.get $slot) (i32.const 1)))
                  (else
                    ;; The last one that is in use takes its place.
                    (local.set $last
                      (i32.add
                        (local.get $line)
                        (i32.shl
                          (i32.sub
                            (i32.ctz
                              (i32.or
                                (i32x4.bitmask (i32x4.eq (v128.load (local.get $line)) (local.get $zero)))
                                (i32.shl
                                  (i32x4.bitmask (i32x4.eq (v128.load offset=16 (local.get $line)) (local.get $zero)))
                                  (i32.const 4))))
                            (i32.const 1))
                          (i32.const 2))))
                    (i32.store (local.get $slot) (i32.load (local.get $last)))
                    (i32.store offset=32 (local.get $slot) (i32.load offset=32 (local.get $last)))
                    (i32.store (local.get $last) (i32.const 0))))
                (br $next))
              (br_if $missing (i32.eqz (i32.load offset=28 (local.get $line))))
              (local.set $number (i32.and (i32.add (local.get $number) (i32.const 1)) (local.get $mask)))
              (br_if $lines (i32.ne (local.get $number) (local.get $first)))))
          (i32.store offset=1536 (local.get $run) (i32.const 0)))
        (local.set $run (i32.add (local.get $run) (i32.const 4)))
        (br $marks)))
    (local.get $removed))

  ;; Slots of a segment that were removed.
  (func (export "countRemoved") (param $segment i32) (param $mask i32) (result i32)
    (local $end i32) (local $ones v128)
    (local.set $end
      (i32.add (local.get $segment) (i32.shl (i32.add (local.get $mask) (i32.const 1)) (i32.const 6))))
    (loop $lines
      (local.set $ones
        (i32x4.sub
          (i32x4.sub
            (local.get $ones)
            (i32x4.eq (v128.load (local.get $segment)) (v128.const i32x4 1 1 1 1)))
          (i32x4.eq (v128.load offset=16 (local.get $segment)) (v128.const i32x4 1 1 1 1))))
      (local.set $segment (i32.add (local.get $segment) (i32.const 64)))
      (br_if $lines (i32.ne (local.get $segment) (local.get $end))))
    (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $ones)) (i32x4.extract_lane 1 (local.get $ones)))
      (i32.add (i32x4.extract_lane 2 (local.get $ones)) (i32x4.extract_lane 3 (local.get $ones)))))

  ;; Puts what is in use in a segment anew, those whose mark has this bit into the other one, which may be the same. $moved:
  ;; room for a copy. The first 64 bytes, which are of no segment, count what each line of both has: a line that was written a
  ;; moment ago, a word at a time, cannot be read as a whole before all of that is in the cache.
  (func (export "split")
    (param $moved i32) (param $segment i32) (param $other i32) (param $mask i32) (param $bit i32)
    (local $end i32) (local $bytes i32) (local $mark i32) (local $isSplit i32) (local $side i32) (local $number i32)
    (local $counter i32) (local $count i32) (local $slot i32)
    (local.set $isSplit (i32.ne (local.get $segment) (local.get $other)))
    (local.set $bytes (i32.shl (i32.add (local.get $mask) (i32.const 1)) (i32.const 6)))
    (memory.copy (local.get $moved) (local.get $segment) (local.get $bytes))
    (memory.fill (local.get $segment) (i32.const 0) (local.get $bytes))
    (v128.store (i32.const 0) (v128.const i32x4 0 0 0 0))
    (v128.store (i32.const 16) (v128.const i32x4 0 0 0 0))
    (v128.store (i32.const 32) (v128.const i32x4 0 0 0 0))
    (v128.store (i32.const 48) (v128.const i32x4 0 0 0 0))
    (local.set $end (i32.add (local.get $moved) (local.get $bytes)))
    (loop $slots
      (local.set $mark (i32.load (local.get $moved)))
      (if (i32.and (local.get $mark) (i32.const 2))
        (then
          (local.set $side (i32.and (i32.shr_u (local.get $mark) (local.get $bit)) (local.get $isSplit)))
          (local.set $number (i32.shr_u (local.get $mark) (i32.const 2)))
          (loop $lines
            (local.set $counter
              (i32.add
                (i32.shl (local.get $side) (i32.const 5))
                (i32.and (local.get $number) (local.get $mask))))
            (local.set $count (i32.load8_u (local.get $counter)))
            (local.set $number (i32.add (local.get $number) (i32.const 1)))
            (br_if $lines (i32.eq (local.get $count) (i32.const 8))))
          (i32.store8 (local.get $counter) (i32.add (local.get $count) (i32.const 1)))
          (local.set $slot
            (i32.add
              (select (local.get $other) (local.get $segment) (local.get $side))
              (i32.add
                (i32.shl (i32.and (local.get $counter) (i32.const 31)) (i32.const 6))
                (i32.shl (local.get $count) (i32.const 2)))))
          (i32.store (local.get $slot) (local.get $mark))
          (i32.store offset=32 (local.get $slot) (i32.load offset=32 (local.get $moved)))))
      (local.set $moved (i32.add (local.get $moved) (i32.const 4)))
      ;; Records stand behind each eight marks.
      (local.set $moved
        (i32.add (local.get $moved) (i32.and (local.get $moved) (i32.const 32))))
      (br_if $slots (i32.ne (local.get $moved) (local.get $end))))))
