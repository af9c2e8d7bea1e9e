;; Local hashes of four blocks at a time: `SeededBlockHasher.locals` in plain JavaScript is the same, and its oracle.
;; Made into simd-hash-code.ts by `npm run build:wasm`.
(module
  ;; Two pages: tokens from byte 0 on, results from byte 65,536 on.
  (memory (export "memory") 2 2)

  ;; Blocks of $blockSize tokens stand one after the other; $count of them is a multiple of four. The result of each is two
  ;; words, one of each lane of the hash, that begin with $initA and $initB.
  (func (export "locals")
    (param $blockSize i32) (param $count i32)
    (param $initA i32) (param $initB i32) (param $multiplierA i32) (param $multiplierB i32)
    (local $block i32) (local $bytes i32) (local $end i32) (local $fours i32) (local $result i32)
    (local $0 i32) (local $1 i32) (local $2 i32) (local $3 i32)
    (local $a v128) (local $b v128) (local $token v128) (local $word v128) (local $byA v128) (local $byB v128)
    (local $row0 v128) (local $row1 v128) (local $row2 v128) (local $row3 v128)
    (local $low01 v128) (local $high01 v128) (local $low23 v128) (local $high23 v128)

    (local.set $bytes (i32.shl (local.get $blockSize) (i32.const 2)))
    (local.set $byA (i32x4.splat (local.get $multiplierA)))
    (local.set $byB (i32x4.splat (local.get $multiplierB)))
    (local.set $result (i32.const 65536))

    (block $done
      (loop $four
        (br_if $done (i32.ge_s (local.get $block) (local.get $count)))
        (local.set $0 (i32.mul (local.get $block) (local.get $bytes)))
        (local.set $1 (i32.add (local.get $0) (local.get $bytes)))
        (local.set $2 (i32.add (local.get $1) (local.get $bytes)))
        (local.set $3 (i32.add (local.get $2) (local.get $bytes)))
        (local.set $end (local.get $1))
        ;; Where less than four tokens are left.
        (local.set $fours (i32.sub (local.get $1) (i32.and (local.get $bytes) (i32.const 15))))
        (local.set $a (i32x4.splat (local.get $initA)))
        (local.set $b (i32x4.splat (local.get $initB)))

        ;; Four tokens of each block: the rows, one for each block, become columns, one for each token.
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

            (local.set $token
              (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $low01) (local.get $low23)))
            (local.set $a (i32x4.mul (v128.xor (local.get $a) (local.get $token)) (local.get $byA)))
            (local.set $a (v128.or (i32x4.shl (local.get $a) (i32.const 15)) (i32x4.shr_u (local.get $a) (i32.const 17))))
            (local.set $b (i32x4.mul (v128.xor (local.get $b) (local.get $token)) (local.get $byB)))
            (local.set $b (v128.or (i32x4.shl (local.get $b) (i32.const 13)) (i32x4.shr_u (local.get $b) (i32.const 19))))
            (local.set $token
              (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $low01) (local.get $low23)))
            (local.set $a (i32x4.mul (v128.xor (local.get $a) (local.get $token)) (local.get $byA)))
            (local.set $a (v128.or (i32x4.shl (local.get $a) (i32.const 15)) (i32x4.shr_u (local.get $a) (i32.const 17))))
            (local.set $b (i32x4.mul (v128.xor (local.get $b) (local.get $token)) (local.get $byB)))
            (local.set $b (v128.or (i32x4.shl (local.get $b) (i32.const 13)) (i32x4.shr_u (local.get $b) (i32.const 19))))
            (local.set $token
              (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $high01) (local.get $high23)))
            (local.set $a (i32x4.mul (v128.xor (local.get $a) (local.get $token)) (local.get $byA)))
            (local.set $a (v128.or (i32x4.shl (local.get $a) (i32.const 15)) (i32x4.shr_u (local.get $a) (i32.const 17))))
            (local.set $b (i32x4.mul (v128.xor (local.get $b) (local.get $token)) (local.get $byB)))
            (local.set $b (v128.or (i32x4.shl (local.get $b) (i32.const 13)) (i32x4.shr_u (local.get $b) (i32.const 19))))
            (local.set $token
              (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $high01) (local.get $high23)))
            (local.set $a (i32x4.mul (v128.xor (local.get $a) (local.get $token)) (local.get $byA)))
            (local.set $a (v128.or (i32x4.shl (local.get $a) (i32.const 15)) (i32x4.shr_u (local.get $a) (i32.const 17))))
            (local.set $b (i32x4.mul (v128.xor (local.get $b) (local.get $token)) (local.get $byB)))
            (local.set $b (v128.or (i32x4.shl (local.get $b) (i32.const 13)) (i32x4.shr_u (local.get $b) (i32.const 19))))

            (local.set $0 (i32.add (local.get $0) (i32.const 16)))
            (local.set $1 (i32.add (local.get $1) (i32.const 16)))
            (local.set $2 (i32.add (local.get $2) (i32.const 16)))
            (local.set $3 (i32.add (local.get $3) (i32.const 16)))
            (br $tokens)))

        ;; The same token of all four blocks in each step.
        (block $none
          (loop $token_of_four
            (br_if $none (i32.ge_u (local.get $0) (local.get $end)))
            (local.set $token (v128.load32_zero (local.get $0)))
            (local.set $token (v128.load32_lane 1 (local.get $1) (local.get $token)))
            (local.set $token (v128.load32_lane 2 (local.get $2) (local.get $token)))
            (local.set $token (v128.load32_lane 3 (local.get $3) (local.get $token)))
            (local.set $a (i32x4.mul (v128.xor (local.get $a) (local.get $token)) (local.get $byA)))
            (local.set $a (v128.or (i32x4.shl (local.get $a) (i32.const 15)) (i32x4.shr_u (local.get $a) (i32.const 17))))
            (local.set $b (i32x4.mul (v128.xor (local.get $b) (local.get $token)) (local.get $byB)))
            (local.set $b (v128.or (i32x4.shl (local.get $b) (i32.const 13)) (i32x4.shr_u (local.get $b) (i32.const 19))))
            (local.set $0 (i32.add (local.get $0) (i32.const 4)))
            (local.set $1 (i32.add (local.get $1) (i32.const 4)))
            (local.set $2 (i32.add (local.get $2) (i32.const 4)))
            (local.set $3 (i32.add (local.get $3) (i32.const 4)))
            (br $token_of_four)))

        ;; Three rounds, each of which adds what `scramble` makes of one lane to the other.
        (local.set $word (i32x4.add (local.get $a) (i32x4.splat (local.get $initA))))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
        (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 13))))
        (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
        (local.set $b (v128.xor (local.get $b) (local.get $word)))
        (local.set $word (i32x4.add (local.get $b) (i32x4.splat (local.get $initB))))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
        (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 13))))
        (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
        (local.set $a (v128.xor (local.get $a) (local.get $word)))
        (local.set $word (local.get $a))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
        (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0x85ebca6b 0x85ebca6b 0x85ebca6b 0x85ebca6b)))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 13))))
        (local.set $word (i32x4.mul (local.get $word) (v128.const i32x4 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35 0xc2b2ae35)))
        (local.set $word (v128.xor (local.get $word) (i32x4.shr_u (local.get $word) (i32.const 16))))
        (local.set $b (v128.xor (local.get $b) (local.get $word)))

        ;; Both words of the first two blocks, then of the others.
        (v128.store (local.get $result)
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $a) (local.get $b)))
        (v128.store offset=16 (local.get $result)
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $a) (local.get $b)))
        (local.set $result (i32.add (local.get $result) (i32.const 32)))
        (local.set $block (i32.add (local.get $block) (i32.const 4)))
        (br $four)))))
