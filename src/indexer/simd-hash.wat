;; Hashes of sixteen blocks at a time: `SeededBlockHasher` in plain JavaScript does the same, and is its oracle.
;; Made into simd-hash-code.ts by `npm run build:wasm`.
(module
  ;; That of simd-tokens.wat. Three of its pages are for this: results from byte 524,288 on; from byte 589,824 on the tokens of
  ;; sixteen blocks as columns: first tokens of all of them, second ones, and so on; from byte 655,360 on tokens that are
  ;; hashed, unless they are in this memory anyway.
  (memory (import "tokens" "memory") 11 11)

  ;; Blocks of $blockSize tokens, at most 1,024, stand one after the other from byte $tokens on; $count of them is a multiple
  ;; of sixteen. The result of each is two words, one of each lane of the hash, that begin with $initA and $initB: the local
  ;; hash. Results from byte $chained on become chained ones, the first of which comes after the block of hash $parentA,
  ;; $parentB.
  ;;
  ;; A multiplication takes ten cycles, and the next one of a lane has to wait for it: so four times four blocks go side by
  ;; side, one token of each in a turn of the loop, in which nothing waits for anything else, and at which end V8 does not
  ;; put it into another order. A chain waits likewise, so that a link of it in each turn takes next to nothing.
  (func (export "hashes")
    (param $tokens i32) (param $blockSize i32) (param $count i32)
    (param $initA i32) (param $initB i32) (param $multiplierA i32) (param $multiplierB i32)
    (param $chained i32) (param $parentA i32) (param $parentB i32)
    (local $block i32) (local $bytes i32) (local $first i32) (local $end i32) (local $fours i32)
    (local $column i32) (local $to i32) (local $columnsEnd i32) (local $result i32)
    (local $left i32) (local $init i32) (local $nextInit i32)
    (local $0 i32) (local $1 i32) (local $2 i32) (local $3 i32)
    (local $row0 v128) (local $row1 v128) (local $row2 v128) (local $row3 v128)
    (local $low01 v128) (local $high01 v128) (local $low23 v128) (local $high23 v128)
    (local $byA v128) (local $byB v128) (local $token v128) (local $word v128)
    (local $a0 v128) (local $b0 v128) (local $a1 v128) (local $b1 v128)
    (local $a2 v128) (local $b2 v128) (local $a3 v128) (local $b3 v128)

    (local.set $bytes (i32.shl (local.get $blockSize) (i32.const 2)))
    (local.set $byA (i32x4.splat (local.get $multiplierA)))
    (local.set $byB (i32x4.splat (local.get $multiplierB)))
    (local.set $result (i32.const 524288))
    (local.set $columnsEnd (i32.add (i32.const 589824) (i32.shl (local.get $blockSize) (i32.const 6))))

    (block $done
      (loop $sixteen
        (br_if $done (i32.ge_s (local.get $block) (local.get $count)))
        (local.set $first (i32.add (local.get $tokens) (i32.mul (local.get $block) (local.get $bytes))))
        (local.set $column (i32.const 589824))

        ;; Rows of four blocks, one for each block, become columns, one for each token.
        (loop $four
          (local.set $0 (local.get $first))
          (local.set $1 (i32.add (local.get $0) (local.get $bytes)))
          (local.set $2 (i32.add (local.get $1) (local.get $bytes)))
          (local.set $3 (i32.add (local.get $2) (local.get $bytes)))
          (local.set $end (local.get $1))
          ;; Where less than four tokens are left.
          (local.set $fours (i32.sub (local.get $1) (i32.and (local.get $bytes) (i32.const 15))))
          (local.set $to (local.get $column))
          (block $few
            (loop $tokens
              (br_if $few (i32.ge_u (local.get $0) (local.get $fours)))
              (local.set $row0 (v128.load (local.get $0)))
              (local.set $row1 (v128.load (local.get $1)))
              (local.set $row2 (v128.load (local.get $2)))
              (local.set $row3 (v128.load (local.get $3)))
              (local.set $low01 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $row0) (local.get $row1)))
              (local.set $high01
                (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $row0) (local.get $row1)))
              (local.set $low23 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $row2) (local.get $row3)))
              (local.set $high23
                (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $row2) (local.get $row3)))
              (v128.store (local.get $to)
                (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $low01) (local.get $low23)))
              (v128.store offset=64 (local.get $to)
                (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $low01) (local.get $low23)))
              (v128.store offset=128 (local.get $to)
                (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $high01) (local.get $high23)))
              (v128.store offset=192 (local.get $to)
                (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $high01) (local.get $high23)))
              (local.set $to (i32.add (local.get $to) (i32.const 256)))
              (local.set $0 (i32.add (local.get $0) (i32.const 16)))
              (local.set $1 (i32.add (local.get $1) (i32.const 16)))
              (local.set $2 (i32.add (local.get $2) (i32.const 16)))
              (local.set $3 (i32.add (local.get $3) (i32.const 16)))
              (br $tokens)))
          (block $none
            (loop $one
              (br_if $none (i32.ge_u (local.get $0) (local.get $end)))
              (local.set $token (v128.load32_zero (local.get $0)))
              (local.set $token (v128.load32_lane 1 (local.get $1) (local.get $token)))
              (local.set $token (v128.load32_lane 2 (local.get $2) (local.get $token)))
              (local.set $token (v128.load32_lane 3 (local.get $3) (local.get $token)))
              (v128.store (local.get $to) (local.get $token))
              (local.set $to (i32.add (local.get $to) (i32.const 64)))
              (local.set $0 (i32.add (local.get $0) (i32.const 4)))
              (local.set $1 (i32.add (local.get $1) (i32.const 4)))
              (local.set $2 (i32.add (local.get $2) (i32.const 4)))
              (local.set $3 (i32.add (local.get $3) (i32.const 4)))
              (br $one)))
          (local.set $first (i32.add (local.get $first) (i32.shl (local.get $bytes) (i32.const 2))))
          (local.set $column (i32.add (local.get $column) (i32.const 16)))
          (br_if $four (i32.lt_u (local.get $column) (i32.const 589888))))

        (local.set $a0 (i32x4.splat (local.get $initA)))
        (local.set $b0 (i32x4.splat (local.get $initB)))
        (local.set $a1 (i32x4.splat (local.get $initA)))
        (local.set $b1 (i32x4.splat (local.get $initB)))
        (local.set $a2 (i32x4.splat (local.get $initA)))
        (local.set $b2 (i32x4.splat (local.get $initB)))
        (local.set $a3 (i32x4.splat (local.get $initA)))
        (local.set $b3 (i32x4.splat (local.get $initB)))
        (local.set $to (i32.const 589824))
        (loop $token_of_all
          (local.set $token (v128.load (local.get $to)))
          (local.set $a0 (i32x4.mul (v128.xor (local.get $a0) (local.get $token)) (local.get $byA)))
          (local.set $a0 (v128.or (i32x4.shl (local.get $a0) (i32.const 15)) (i32x4.shr_u (local.get $a0) (i32.const 17))))
          (local.set $b0 (i32x4.mul (v128.xor (local.get $b0) (local.get $token)) (local.get $byB)))
          (local.set $b0 (v128.or (i32x4.shl (local.get $b0) (i32.const 13)) (i32x4.shr_u (local.get $b0) (i32.const 19))))
          (local.set $token (v128.load offset=16 (local.get $to)))
          (local.set $a1 (i32x4.mul (v128.xor (local.get $a1) (local.get $token)) (local.get $byA)))
          (local.set $a1 (v128.or (i32x4.shl (local.get $a1) (i32.const 15)) (i32x4.shr_u (local.get $a1) (i32.const 17))))
          (local.set $b1 (i32x4.mul (v128.xor (local.get $b1) (local.get $token)) (local.get $byB)))
          (local.set $b1 (v128.or (i32x4.shl (local.get $b1) (i32.const 13)) (i32x4.shr_u (local.get $b1) (i32.const 19))))
          (local.set $token (v128.load offset=32 (local.get $to)))
          (local.set $a2 (i32x4.mul (v128.xor (local.get $a2) (local.get $token)) (local.get $byA)))
          (local.set $a2 (v128.or (i32x4.shl (local.get $a2) (i32.const 15)) (i32x4.shr_u (local.get $a2) (i32.const 17))))
          (local.set $b2 (i32x4.mul (v128.xor (local.get $b2) (local.get $token)) (local.get $byB)))
          (local.set $b2 (v128.or (i32x4.shl (local.get $b2) (i32.const 13)) (i32x4.shr_u (local.get $b2) (i32.const 19))))
          (local.set $token (v128.load offset=48 (local.get $to)))
          (local.set $a3 (i32x4.mul (v128.xor (local.get $a3) (local.get $token)) (local.get $byA)))
          (local.set $a3 (v128.or (i32x4.shl (local.get $a3) (i32.const 15)) (i32x4.shr_u (local.get $a3) (i32.const 17))))
          (local.set $b3 (i32x4.mul (v128.xor (local.get $b3) (local.get $token)) (local.get $byB)))
          (local.set $b3 (v128.or (i32x4.shl (local.get $b3) (i32.const 13)) (i32x4.shr_u (local.get $b3) (i32.const 19))))
          ;; Of the sixteen before.
          (if (i32.lt_u (local.get $chained) (local.get $result))
            (then
              (local.set $parentA
                (i32.mul (i32.xor (local.get $parentA) (i32.shr_u (local.get $parentA) (i32.const 15))) (local.get $multiplierA)))
              (local.set $parentB
                (i32.mul (i32.xor (local.get $parentB) (i32.shr_u (local.get $parentB) (i32.const 13))) (local.get $multiplierB)))
              (local.set $parentA (i32.add (local.get $parentA) (i32.load (local.get $chained))))
              (local.set $parentB (i32.add (local.get $parentB) (i32.load offset=4 (local.get $chained))))
              (i32.store (local.get $chained) (local.get $parentA))
              (i32.store offset=4 (local.get $chained) (local.get $parentB))
              (local.set $chained (i32.add (local.get $chained) (i32.const 8)))))
          (local.set $to (i32.add (local.get $to) (i32.const 64)))
          (br_if $token_of_all (i32.lt_u (local.get $to) (local.get $columnsEnd))))

        ;; Three rounds, each of which adds what `scramble` makes of one lane to the other; then they change places.
        (local.set $left (i32.const 3))
        (local.set $init (local.get $initA))
        (local.set $nextInit (local.get $initB))
        (loop $round
          (local.set $word (i32x4.add (local.get $a0) (i32x4.splat (local.get $init))))
          (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
          (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
          (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 13))))
          (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
          (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
          (local.set $word (v128.xor (local.get $word) (local.get $b0)))
          (local.set $b0 (local.get $a0))
          (local.set $a0 (local.get $word))
          (local.set $word (i32x4.add (local.get $a1) (i32x4.splat (local.get $init))))
          (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
          (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
          (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 13))))
          (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
          (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
          (local.set $word (v128.xor (local.get $word) (local.get $b1)))
          (local.set $b1 (local.get $a1))
          (local.set $a1 (local.get $word))
          (local.set $word (i32x4.add (local.get $a2) (i32x4.splat (local.get $init))))
          (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
          (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
          (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 13))))
          (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
          (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
          (local.set $word (v128.xor (local.get $word) (local.get $b2)))
          (local.set $b2 (local.get $a2))
          (local.set $a2 (local.get $word))
          (local.set $word (i32x4.add (local.get $a3) (i32x4.splat (local.get $init))))
          (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
          (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
          (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 13))))
          (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
          (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
          (local.set $word (v128.xor (local.get $word) (local.get $b3)))
          (local.set $b3 (local.get $a3))
          (local.set $a3 (local.get $word))
          (local.set $init (local.get $nextInit))
          (local.set $nextInit (i32.const 0))
          (br_if $round (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))

        ;; Both words of two blocks in each of these; the lanes have changed places.
        (v128.store (local.get $result)
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $b0) (local.get $a0)))
        (v128.store offset=16 (local.get $result)
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $b0) (local.get $a0)))
        (v128.store offset=32 (local.get $result)
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $b1) (local.get $a1)))
        (v128.store offset=48 (local.get $result)
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $b1) (local.get $a1)))
        (v128.store offset=64 (local.get $result)
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $b2) (local.get $a2)))
        (v128.store offset=80 (local.get $result)
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $b2) (local.get $a2)))
        (v128.store offset=96 (local.get $result)
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $b3) (local.get $a3)))
        (v128.store offset=112 (local.get $result)
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $b3) (local.get $a3)))
        (local.set $result (i32.add (local.get $result) (i32.const 128)))
        (local.set $block (i32.add (local.get $block) (i32.const 16)))
        (br $sixteen)))

    ;; The last ones.
    (block $all
      (loop $last
        (br_if $all (i32.ge_u (local.get $chained) (local.get $result)))
        (local.set $parentA
          (i32.mul (i32.xor (local.get $parentA) (i32.shr_u (local.get $parentA) (i32.const 15))) (local.get $multiplierA)))
        (local.set $parentB
          (i32.mul (i32.xor (local.get $parentB) (i32.shr_u (local.get $parentB) (i32.const 13))) (local.get $multiplierB)))
        (local.set $parentA (i32.add (local.get $parentA) (i32.load (local.get $chained))))
        (local.set $parentB (i32.add (local.get $parentB) (i32.load offset=4 (local.get $chained))))
        (i32.store (local.get $chained) (local.get $parentA))
        (i32.store offset=4 (local.get $chained) (local.get $parentB))
        (local.set $chained (i32.add (local.get $chained) (i32.const 8)))
        (br $last)))))
