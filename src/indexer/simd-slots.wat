;; Many slots at a time: `slots.ts` does the same with one, and is its oracle. All addresses are in bytes.
;; Made into simd-slots-code.ts by `npm run build:wasm`.
(module
  ;; That of the segments. Somewhere in it is a run: 128 words of marks, as many segments, in words from byte 0 on, and
  ;; as many records.
  (memory (import "segments" "memory") 16 65536 shared)

  ;; How many of the marks are in no line in which a search for them looks, up to the first that is.
  (func (export "countMissing") (param $run i32) (param $count i32) (param $mask i32) (result i32)
    (local $i i32) (local $segment i32) (local $first i32) (local $number i32) (local $line i32) (local $mark v128)
    (block $done
      (loop $marks
        (br_if $done (i32.eq (local.get $i) (local.get $count)))
        (local.set $segment (i32.shl (i32.load offset=512 (local.get $run)) (i32.const 2)))
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
        (local.set $segment (i32.shl (i32.load offset=512 (local.get $run)) (i32.const 2)))
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
        (i32.store offset=1024 (local.get $run) (local.get $record))
        (local.set $run (i32.add (local.get $run) (i32.const 4)))
        (br $marks))))

  ;; Places marks and records, up to the first whose mark is there already, or for which there is no room in so many lines;
  ;; returns how many those are.
  (func (export "addAll") (param $run i32) (param $count i32) (param $mask i32) (param $steps i32) (result i32)
    (local $i i32) (local $segment i32) (local $first i32) (local $number i32) (local $line i32) (local $step i32)
    (local $free i32) (local $empty i32) (local $low v128) (local $high v128) (local $mark v128) (local $inUse v128)
    (local.set $inUse (i32x4.splat (i32.const 2)))
    (block $done
      (loop $marks
        (br_if $done (i32.eq (local.get $i) (local.get $count)))
        (local.set $segment (i32.shl (i32.load offset=512 (local.get $run)) (i32.const 2)))
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
            (if (i32.and (i32.eqz (local.get $free)) (i32.lt_u (local.get $step) (local.get $steps)))
              (then
                ;; A bit for each slot that is not in use.
                (local.set $empty
                  (i32.xor
                    (i32.or
                      (i32x4.bitmask (i32x4.eq (v128.and (local.get $low) (local.get $inUse)) (local.get $inUse)))
                      (i32.shl
                        (i32x4.bitmask (i32x4.eq (v128.and (local.get $high) (local.get $inUse)) (local.get $inUse)))
                        (i32.const 4)))
                    (i32.const 255)))
                (if (local.get $empty)
                  (then
                    (local.set $free
                      (i32.add (local.get $line) (i32.shl (i32.ctz (local.get $empty)) (i32.const 2))))))))
            (br_if $missing (i32.eqz (i32x4.extract_lane 3 (local.get $high))))
            (local.set $step (i32.add (local.get $step) (i32.const 1)))
            (local.set $number (i32.and (i32.add (local.get $number) (i32.const 1)) (local.get $mask)))
            (br_if $lines (i32.ne (local.get $number) (local.get $first)))))
        (br_if $done (i32.eqz (local.get $free)))
        (i32.store (local.get $free) (i32.load (local.get $run)))
        (i32.store offset=32 (local.get $free) (i32.load offset=1024 (local.get $run)))
        (local.set $run (i32.add (local.get $run) (i32.const 4)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $marks)))
    (local.get $i))

  ;; Takes out marks with their records; those that are not there become 0, and 0 is passed over. Returns how many there were.
  (func (export "removeAll") (param $run i32) (param $count i32) (param $mask i32) (result i32)
    (local $end i32) (local $segment i32) (local $first i32) (local $number i32) (local $line i32) (local $hits i32)
    (local $slot i32) (local $last i32) (local $record i32) (local $removed i32) (local $mark v128) (local $zero v128)
    (local.set $end (i32.add (local.get $run) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $marks
        (br_if $done (i32.eq (local.get $run) (local.get $end)))
        (local.set $record (i32.load offset=1024 (local.get $run)))
        (block $next
          (br_if $next (i32.eqz (local.get $record)))
          (local.set $segment (i32.shl (i32.load offset=512 (local.get $run)) (i32.const 2)))
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
          (i32.store offset=1024 (local.get $run) (i32.const 0)))
        (local.set $run (i32.add (local.get $run) (i32.const 4)))
        (br $marks)))
    (local.get $removed))

  ;; Puts what is in use in a segment anew, those whose mark has this bit into the other one. $moved: room for a copy.
  (func (export "split")
    (param $moved i32) (param $segment i32) (param $other i32) (param $mask i32) (param $bit i32)
    (local $end i32) (local $bytes i32) (local $mark i32) (local $target i32) (local $number i32) (local $line i32)
    (local $empty i32) (local $zero v128)
    (local.set $bytes (i32.shl (i32.add (local.get $mask) (i32.const 1)) (i32.const 6)))
    (memory.copy (local.get $moved) (local.get $segment) (local.get $bytes))
    (memory.fill (local.get $segment) (i32.const 0) (local.get $bytes))
    (local.set $end (i32.add (local.get $moved) (local.get $bytes)))
    (loop $slots
      (local.set $mark (i32.load (local.get $moved)))
      (if (i32.and (local.get $mark) (i32.const 2))
        (then
          (local.set $target
            (select
              (local.get $other)
              (local.get $segment)
              (i32.and (i32.shr_u (local.get $mark) (local.get $bit)) (i32.const 1))))
          (local.set $number (i32.shr_u (local.get $mark) (i32.const 2)))
          (loop $lines
            (local.set $line
              (i32.add
                (local.get $target)
                (i32.shl (i32.and (local.get $number) (local.get $mask)) (i32.const 6))))
            (local.set $number (i32.add (local.get $number) (i32.const 1)))
            (local.set $empty
              (i32.or
                (i32x4.bitmask (i32x4.eq (v128.load (local.get $line)) (local.get $zero)))
                (i32.shl
                  (i32x4.bitmask (i32x4.eq (v128.load offset=16 (local.get $line)) (local.get $zero)))
                  (i32.const 4))))
            (br_if $lines (i32.eqz (local.get $empty))))
          (local.set $line (i32.add (local.get $line) (i32.shl (i32.ctz (local.get $empty)) (i32.const 2))))
          (i32.store (local.get $line) (local.get $mark))
          (i32.store offset=32 (local.get $line) (i32.load offset=32 (local.get $moved)))))
      (local.set $moved (i32.add (local.get $moved) (i32.const 4)))
      ;; Records stand behind each eight marks.
      (local.set $moved
        (i32.add (local.get $moved) (i32.and (local.get $moved) (i32.const 32))))
      (br_if $slots (i32.ne (local.get $moved) (local.get $end))))))
