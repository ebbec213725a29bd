;; The arithmetic of a checkpoint's conversion over one linear memory: FP8 blocks to bfloat16, rows to signed bytes.
;; Pointers are byte offsets without alignment. Every lane operation is one correctly rounded float32 operation, so
;; kernels.test.ts holds the result against plain JavaScript bit by bit.
;; Codes 0x7f and 0xff (not a number) are found apart and repaired.
(module
  (import "env" "memory" (memory 1 65536))

  ;; A code's magnitude shifted up by 20 has its exponent where float32 has one, 120 too low: one multiplication by 2^120 gives the
  ;; value, exactly, subnormal codes too.
  (func $decodeOne (param $code i32) (result f32)
    (if (result f32) (i32.eq (i32.and (local.get $code) (i32.const 0x7f)) (i32.const 0x7f))
      (then (f32.const nan))
      (else
        (f32.mul
          (f32.reinterpret_i32 (i32.or
            (i32.shl (i32.and (local.get $code) (i32.const 0x7f)) (i32.const 20))
            (i32.shl (i32.and (local.get $code) (i32.const 0x80)) (i32.const 24))))
          (f32.const 0x1p120)))))

  ;; Rounds to nearest, ties to even.
  (func $roundOne (param $x f32) (result i32)
    (local $bits i32)
    (local.set $bits (i32.reinterpret_f32 (local.get $x)))
    (if (result i32) (f32.ne (local.get $x) (local.get $x))
      (then (i32.or (i32.shr_u (local.get $bits) (i32.const 16)) (i32.const 0x40)))
      (else
        (i32.shr_u
          (i32.add
            (i32.add (local.get $bits) (i32.const 0x7fff))
            (i32.and (i32.shr_u (local.get $bits) (i32.const 16)) (i32.const 1)))
          (i32.const 16)))))

  ;; out[i] = bfloat16(in[i] * scale) for count codes; a NaN code gives NaN.
  ;; V8 does not inline calls, so the loops over 16 codes spell everything out. The decoding works on bytes: a code's magnitude
  ;; shifted left by 4, plus 0x3c00, is the bfloat16 of a normal code. A swizzle gives 0 for what lies outside its table, so the tables
  ;; correct the two bytes of the 8 subnormal codes alone. No lane is ever a subnormal float32, which some processors are slow at.
  (func $fp8Run (param $in i32) (param $out i32) (param $count i32) (param $scale f32)
    (local $end i32) (local $vectorEnd i32) (local $codes v128) (local $magnitude v128) (local $upper v128) (local $lower v128)
    (local $low v128) (local $high v128) (local $s v128) (local $zero v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $end (i32.add (local.get $in) (local.get $count)))
    (local.set $vectorEnd (i32.add (local.get $in) (i32.and (local.get $count) (i32.const -16))))
    (local.set $s (f32x4.splat (local.get $scale)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $in) (local.get $vectorEnd)))
        (local.set $codes (v128.load (local.get $in)))
        (local.set $magnitude (v128.and (local.get $codes) (i8x16.splat (i32.const 0x7f))))
        (local.set $upper (v128.or
          (v128.and (local.get $codes) (i8x16.splat (i32.const 0x80)))
          (i8x16.add
            (i8x16.add (i8x16.shr_u (local.get $magnitude) (i32.const 4)) (i8x16.splat (i32.const 0x3c)))
            (i8x16.swizzle
              (v128.const i8x16 0xc4 0xff 0xff 0xff 0 0 0 0 0 0 0 0 0 0 0 0) (local.get $magnitude)))))
        (local.set $lower (i8x16.add
          (i8x16.shl (local.get $codes) (i32.const 4))
          (i8x16.swizzle
            (v128.const i8x16 0 0xf0 0x60 0x90 0xc0 0xd0 0xe0 0xf0 0 0 0 0 0 0 0 0) (local.get $magnitude))))
        (local.set $low
          (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get $lower) (local.get $upper)))
        (local.set $high
          (i8x16.shuffle 8 24 9 25 10 26 11 27 12 28 13 29 14 30 15 31 (local.get $lower) (local.get $upper)))
        (local.set $a (f32x4.mul (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $zero) (local.get $low)) (local.get $s)))
        (local.set $b (f32x4.mul (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $zero) (local.get $low)) (local.get $s)))
        (local.set $c (f32x4.mul (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $zero) (local.get $high)) (local.get $s)))
        (local.set $d (f32x4.mul (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $zero) (local.get $high)) (local.get $s)))
        (local.set $a (i32x4.shr_u (i32x4.add (i32x4.add (local.get $a) (i32x4.splat (i32.const 0x7fff)))
          (v128.and (i32x4.shr_u (local.get $a) (i32.const 16)) (i32x4.splat (i32.const 1)))) (i32.const 16)))
        (local.set $b (i32x4.shr_u (i32x4.add (i32x4.add (local.get $b) (i32x4.splat (i32.const 0x7fff)))
          (v128.and (i32x4.shr_u (local.get $b) (i32.const 16)) (i32x4.splat (i32.const 1)))) (i32.const 16)))
        (local.set $c (i32x4.shr_u (i32x4.add (i32x4.add (local.get $c) (i32x4.splat (i32.const 0x7fff)))
          (v128.and (i32x4.shr_u (local.get $c) (i32.const 16)) (i32x4.splat (i32.const 1)))) (i32.const 16)))
        (local.set $d (i32x4.shr_u (i32x4.add (i32x4.add (local.get $d) (i32x4.splat (i32.const 0x7fff)))
          (v128.and (i32x4.shr_u (local.get $d) (i32.const 16)) (i32x4.splat (i32.const 1)))) (i32.const 16)))
        (v128.store (local.get $out) (i16x8.narrow_i32x4_u (local.get $a) (local.get $b)))
        (v128.store offset=16 (local.get $out) (i16x8.narrow_i32x4_u (local.get $c) (local.get $d)))
        (if (v128.any_true (i8x16.eq (local.get $magnitude) (i8x16.splat (i32.const 0x7f))))
          (then (call $fp8Tail
            (local.get $in) (local.get $out) (i32.add (local.get $in) (i32.const 16)) (local.get $scale))))
        (local.set $in (i32.add (local.get $in) (i32.const 16)))
        (local.set $out (i32.add (local.get $out) (i32.const 32)))
        (br $next)))
    (call $fp8Tail (local.get $in) (local.get $out) (local.get $end) (local.get $scale)))

  (func $fp8Tail (param $in i32) (param $out i32) (param $end i32) (param $scale f32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $in) (local.get $end)))
        (i32.store16 (local.get $out)
          (call $roundOne (f32.mul (call $decodeOne (i32.load8_u (local.get $in))) (local.get $scale))))
        (local.set $in (i32.add (local.get $in) (i32.const 1)))
        (local.set $out (i32.add (local.get $out) (i32.const 2)))
        (br $next))))

  ;; Rows that share a row of blocks: in [rows, columns] codes, out the same in bfloat16, scales one per block of columns.
  (func (export "fp8ToBfloat16")
    (param $in i32) (param $out i32) (param $rows i32) (param $columns i32) (param $block i32) (param $scales i32)
    (local $left i32) (local $run i32) (local $scale i32)
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $left (local.get $columns))
        (local.set $scale (local.get $scales))
        (block $rowDone
          (loop $segment
            (br_if $rowDone (i32.eqz (local.get $left)))
            (local.set $run (select (local.get $left) (local.get $block) (i32.lt_u (local.get $left) (local.get $block))))
            (call $fp8Run (local.get $in) (local.get $out) (local.get $run) (f32.load (local.get $scale)))
            (local.set $in (i32.add (local.get $in) (local.get $run)))
            (local.set $out (i32.add (local.get $out) (i32.shl (local.get $run) (i32.const 1))))
            (local.set $scale (i32.add (local.get $scale) (i32.const 4)))
            (local.set $left (i32.sub (local.get $left) (local.get $run)))
            (br $segment)))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row))))

  ;; out[i] = bfloat16(in[i]) for count float32.
  (func (export "f32ToBfloat16") (param $in i32) (param $out i32) (param $count i32)
    (local $end i32) (local $vectorEnd i32) (local $a v128) (local $b v128)
    (local.set $end (i32.add (local.get $in) (i32.shl (local.get $count) (i32.const 2))))
    (local.set $vectorEnd (i32.add (local.get $in) (i32.shl (i32.and (local.get $count) (i32.const -8)) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $in) (local.get $vectorEnd)))
        (local.set $a (v128.load (local.get $in)))
        (local.set $b (v128.load offset=16 (local.get $in)))
        (if (v128.any_true (v128.or
              (f32x4.ne (local.get $a) (local.get $a)) (f32x4.ne (local.get $b) (local.get $b))))
          (then (call $f32Tail (local.get $in) (local.get $out) (i32.add (local.get $in) (i32.const 32))))
          (else (v128.store (local.get $out)
            (i16x8.narrow_i32x4_u
            (i32x4.shr_u (i32x4.add (i32x4.add (local.get $a) (i32x4.splat (i32.const 0x7fff)))
              (v128.and (i32x4.shr_u (local.get $a) (i32.const 16)) (i32x4.splat (i32.const 1)))) (i32.const 16))
            (i32x4.shr_u (i32x4.add (i32x4.add (local.get $b) (i32x4.splat (i32.const 0x7fff)))
              (v128.and (i32x4.shr_u (local.get $b) (i32.const 16)) (i32x4.splat (i32.const 1)))) (i32.const 16))))))
        (local.set $in (i32.add (local.get $in) (i32.const 32)))
        (local.set $out (i32.add (local.get $out) (i32.const 16)))
        (br $next)))
    (call $f32Tail (local.get $in) (local.get $out) (local.get $end)))

  (func $f32Tail (param $in i32) (param $out i32) (param $end i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $in) (local.get $end)))
        (i32.store16 (local.get $out) (call $roundOne (f32.load (local.get $in))))
        (local.set $in (i32.add (local.get $in) (i32.const 4)))
        (local.set $out (i32.add (local.get $out) (i32.const 2)))
        (br $next))))

  ;; Largest |code| of a run; 0x7f says that one is not a number.
  (func $fp8Max (param $in i32) (param $count i32) (result i32)
    (local $end i32) (local $vectorEnd i32) (local $most v128) (local $top i32) (local $code i32)
    (local.set $end (i32.add (local.get $in) (local.get $count)))
    (local.set $vectorEnd (i32.add (local.get $in) (i32.and (local.get $count) (i32.const -16))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $in) (local.get $vectorEnd)))
        (local.set $most (i8x16.max_u (local.get $most)
          (v128.and (v128.load (local.get $in)) (i8x16.splat (i32.const 0x7f)))))
        (local.set $in (i32.add (local.get $in) (i32.const 16)))
        (br $next)))
    (local.set $most (i8x16.max_u (local.get $most)
      (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $most) (local.get $most))))
    (local.set $most (i8x16.max_u (local.get $most)
      (i8x16.shuffle 4 5 6 7 0 1 2 3 4 5 6 7 0 1 2 3 (local.get $most) (local.get $most))))
    (local.set $most (i8x16.max_u (local.get $most)
      (i8x16.shuffle 2 3 0 1 2 3 0 1 2 3 0 1 2 3 0 1 (local.get $most) (local.get $most))))
    (local.set $most (i8x16.max_u (local.get $most)
      (i8x16.shuffle 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 (local.get $most) (local.get $most))))
    (local.set $top (i8x16.extract_lane_u 0 (local.get $most)))
    (block $tailDone
      (loop $tail
        (br_if $tailDone (i32.ge_u (local.get $in) (local.get $end)))
        (local.set $code (i32.and (i32.load8_u (local.get $in)) (i32.const 0x7f)))
        (local.set $top (select (local.get $code) (local.get $top) (i32.gt_u (local.get $code) (local.get $top))))
        (local.set $in (i32.add (local.get $in) (i32.const 1)))
        (br $tail)))
    (local.get $top))

  ;; max / 127, or 1 for a row of zeros, whose quotients would be 0 / 0.
  (func $scaleOf (param $most f32) (result f32)
    (local $scale f32)
    (local.set $scale (f32.div (local.get $most) (f32.const 127)))
    (select (f32.const 1) (local.get $scale) (f32.eq (local.get $scale) (f32.const 0))))

  (func $quotientOne (param $x f32) (param $by f32) (result i32)
    (i32.trunc_sat_f32_s (f32.max (f32.const -128) (f32.min (f32.const 127)
      (f32.nearest (f32.div (local.get $x) (local.get $by)))))))

  ;; Quotients are at most 190 (a subnormal divisor is rounded coarsely), so adding 1.5 * 2^23 rounds them to the nearest whole number,
  ;; ties to even, and leaves it in the lower bits; narrowing saturates.
  (func $fp8Quotients (param $in i32) (param $out i32) (param $count i32) (param $scale f32) (param $by f32)
    (local $end i32) (local $vectorEnd i32) (local $codes v128) (local $magnitude v128) (local $upper v128) (local $lower v128)
    (local $low v128) (local $high v128) (local $s v128) (local $zero v128) (local $divisor v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $end (i32.add (local.get $in) (local.get $count)))
    (local.set $vectorEnd (i32.add (local.get $in) (i32.and (local.get $count) (i32.const -16))))
    (local.set $s (f32x4.splat (local.get $scale)))
    (local.set $divisor (f32x4.splat (local.get $by)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $in) (local.get $vectorEnd)))
        (local.set $codes (v128.load (local.get $in)))
        (local.set $magnitude (v128.and (local.get $codes) (i8x16.splat (i32.const 0x7f))))
        (local.set $upper (v128.or
          (v128.and (local.get $codes) (i8x16.splat (i32.const 0x80)))
          (i8x16.add
            (i8x16.add (i8x16.shr_u (local.get $magnitude) (i32.const 4)) (i8x16.splat (i32.const 0x3c)))
            (i8x16.swizzle
              (v128.const i8x16 0xc4 0xff 0xff 0xff 0 0 0 0 0 0 0 0 0 0 0 0) (local.get $magnitude)))))
        (local.set $lower (i8x16.add
          (i8x16.shl (local.get $codes) (i32.const 4))
          (i8x16.swizzle
            (v128.const i8x16 0 0xf0 0x60 0x90 0xc0 0xd0 0xe0 0xf0 0 0 0 0 0 0 0 0) (local.get $magnitude))))
        (local.set $low
          (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get $lower) (local.get $upper)))
        (local.set $high
          (i8x16.shuffle 8 24 9 25 10 26 11 27 12 28 13 29 14 30 15 31 (local.get $lower) (local.get $upper)))
        (local.set $a (f32x4.mul (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $zero) (local.get $low)) (local.get $s)))
        (local.set $b (f32x4.mul (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $zero) (local.get $low)) (local.get $s)))
        (local.set $c (f32x4.mul (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $zero) (local.get $high)) (local.get $s)))
        (local.set $d (f32x4.mul (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $zero) (local.get $high)) (local.get $s)))
        (local.set $a (i32x4.sub (f32x4.add (f32x4.div (local.get $a) (local.get $divisor)) (f32x4.splat (f32.const 0x1.8p23)))
          (i32x4.splat (i32.const 0x4b400000))))
        (local.set $b (i32x4.sub (f32x4.add (f32x4.div (local.get $b) (local.get $divisor)) (f32x4.splat (f32.const 0x1.8p23)))
          (i32x4.splat (i32.const 0x4b400000))))
        (local.set $c (i32x4.sub (f32x4.add (f32x4.div (local.get $c) (local.get $divisor)) (f32x4.splat (f32.const 0x1.8p23)))
          (i32x4.splat (i32.const 0x4b400000))))
        (local.set $d (i32x4.sub (f32x4.add (f32x4.div (local.get $d) (local.get $divisor)) (f32x4.splat (f32.const 0x1.8p23)))
          (i32x4.splat (i32.const 0x4b400000))))
        (v128.store (local.get $out) (i8x16.narrow_i16x8_s
          (i16x8.narrow_i32x4_s (local.get $a) (local.get $b)) (i16x8.narrow_i32x4_s (local.get $c) (local.get $d))))
        (local.set $in (i32.add (local.get $in) (i32.const 16)))
        (local.set $out (i32.add (local.get $out) (i32.const 16)))
        (br $next)))
    (block $tailDone
      (loop $tail
        (br_if $tailDone (i32.ge_u (local.get $in) (local.get $end)))
        (i32.store8 (local.get $out) (call $quotientOne
          (f32.mul (call $decodeOne (i32.load8_u (local.get $in))) (local.get $scale)) (local.get $by)))
        (local.set $in (i32.add (local.get $in) (i32.const 1)))
        (local.set $out (i32.add (local.get $out) (i32.const 1)))
        (br $tail))))

  ;; Rows that share a row of blocks to signed bytes; rowScales gets one float32 per row. Gives how many rows were done
  ;; before one with a NaN code or a value that is not finite; all of them where there is none.
  (func (export "fp8ToInt8")
    (param $in i32) (param $out i32) (param $rows i32) (param $columns i32) (param $block i32) (param $scales i32)
    (param $rowScales i32) (result i32)
    (local $left i32) (local $run i32) (local $scale i32) (local $at i32) (local $row i32) (local $code i32)
    (local $most f32) (local $by f32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $row) (local.get $rows)))
        (local.set $most (f32.const 0))
        (local.set $left (local.get $columns))
        (local.set $scale (local.get $scales))
        (local.set $at (local.get $in))
        (block $maxDone
          (loop $segment
            (br_if $maxDone (i32.eqz (local.get $left)))
            (local.set $run (select (local.get $left) (local.get $block) (i32.lt_u (local.get $left) (local.get $block))))
            (local.set $code (call $fp8Max (local.get $at) (local.get $run)))
            (br_if $done (i32.eq (local.get $code) (i32.const 0x7f)))
            (local.set $most (f32.max (local.get $most)
              (f32.mul (call $decodeOne (local.get $code)) (f32.abs (f32.load (local.get $scale))))))
            (local.set $at (i32.add (local.get $at) (local.get $run)))
            (local.set $scale (i32.add (local.get $scale) (i32.const 4)))
            (local.set $left (i32.sub (local.get $left) (local.get $run)))
            (br $segment)))
        (br_if $done (i32.eqz (f32.lt (local.get $most) (f32.const inf))))
        (local.set $by (call $scaleOf (local.get $most)))
        (f32.store (local.get $rowScales) (local.get $by))
        (local.set $rowScales (i32.add (local.get $rowScales) (i32.const 4)))
        (local.set $left (local.get $columns))
        (local.set $scale (local.get $scales))
        (block $rowDone
          (loop $segment2
            (br_if $rowDone (i32.eqz (local.get $left)))
            (local.set $run (select (local.get $left) (local.get $block) (i32.lt_u (local.get $left) (local.get $block))))
            (call $fp8Quotients
              (local.get $in) (local.get $out) (local.get $run) (f32.load (local.get $scale)) (local.get $by))
            (local.set $in (i32.add (local.get $in) (local.get $run)))
            (local.set $out (i32.add (local.get $out) (local.get $run)))
            (local.set $scale (i32.add (local.get $scale) (i32.const 4)))
            (local.set $left (i32.sub (local.get $left) (local.get $run)))
            (br $segment2)))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $next)))
    (local.get $row))

  ;; The same from float32 rows.
  (func (export "f32ToInt8")
    (param $in i32) (param $out i32) (param $rows i32) (param $columns i32) (param $rowScales i32) (result i32)
    (local $row i32) (local $at i32) (local $end i32) (local $vectorEnd i32) (local $v v128) (local $most v128)
    (local $top f32) (local $by f32) (local $d v128)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $row) (local.get $rows)))
        (local.set $at (local.get $in))
        (local.set $end (i32.add (local.get $in) (i32.shl (local.get $columns) (i32.const 2))))
        (local.set $vectorEnd
          (i32.add (local.get $in) (i32.shl (i32.and (local.get $columns) (i32.const -16)) (i32.const 2))))
        (local.set $most (f32x4.splat (f32.const 0)))
        (block $maxDone
          (loop $max
            (br_if $maxDone (i32.ge_u (local.get $at) (local.get $vectorEnd)))
            ;; f32x4.max hands a NaN on.
            (local.set $most (f32x4.max (local.get $most) (f32x4.max
              (f32x4.max (f32x4.abs (v128.load (local.get $at))) (f32x4.abs (v128.load offset=16 (local.get $at))))
              (f32x4.max (f32x4.abs (v128.load offset=32 (local.get $at))) (f32x4.abs (v128.load offset=48 (local.get $at)))))))
            (local.set $at (i32.add (local.get $at) (i32.const 64)))
            (br $max)))
        (local.set $top (f32.max
          (f32.max (f32x4.extract_lane 0 (local.get $most)) (f32x4.extract_lane 1 (local.get $most)))
          (f32.max (f32x4.extract_lane 2 (local.get $most)) (f32x4.extract_lane 3 (local.get $most)))))
        (block $maxTailDone
          (loop $maxTail
            (br_if $maxTailDone (i32.ge_u (local.get $at) (local.get $end)))
            (local.set $top (f32.max (local.get $top) (f32.abs (f32.load (local.get $at)))))
            (local.set $at (i32.add (local.get $at) (i32.const 4)))
            (br $maxTail)))
        (br_if $done (i32.eqz (f32.lt (local.get $top) (f32.const inf))))
        (local.set $by (call $scaleOf (local.get $top)))
        (local.set $d (f32x4.splat (local.get $by)))
        (f32.store (local.get $rowScales) (local.get $by))
        (local.set $rowScales (i32.add (local.get $rowScales) (i32.const 4)))
        (block $rowDone
          (loop $vector
            (br_if $rowDone (i32.ge_u (local.get $in) (local.get $vectorEnd)))
            (v128.store (local.get $out) (i8x16.narrow_i16x8_s
              (i16x8.narrow_i32x4_s
                (i32x4.sub (f32x4.add (f32x4.div (v128.load (local.get $in)) (local.get $d)) (f32x4.splat (f32.const 0x1.8p23)))
                  (i32x4.splat (i32.const 0x4b400000)))
                (i32x4.sub (f32x4.add (f32x4.div (v128.load offset=16 (local.get $in)) (local.get $d)) (f32x4.splat (f32.const 0x1.8p23)))
                  (i32x4.splat (i32.const 0x4b400000))))
              (i16x8.narrow_i32x4_s
                (i32x4.sub (f32x4.add (f32x4.div (v128.load offset=32 (local.get $in)) (local.get $d)) (f32x4.splat (f32.const 0x1.8p23)))
                  (i32x4.splat (i32.const 0x4b400000)))
                (i32x4.sub (f32x4.add (f32x4.div (v128.load offset=48 (local.get $in)) (local.get $d)) (f32x4.splat (f32.const 0x1.8p23)))
                  (i32x4.splat (i32.const 0x4b400000))))))
            (local.set $in (i32.add (local.get $in) (i32.const 64)))
            (local.set $out (i32.add (local.get $out) (i32.const 16)))
            (br $vector)))
        (block $tailDone
          (loop $tail
            (br_if $tailDone (i32.ge_u (local.get $in) (local.get $end)))
            (i32.store8 (local.get $out) (call $quotientOne (f32.load (local.get $in)) (local.get $by)))
            (local.set $in (i32.add (local.get $in) (i32.const 4)))
            (local.set $out (i32.add (local.get $out) (i32.const 1)))
            (br $tail)))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $next)))
    (local.get $row))

  ;; out[i] = float32(in[i]) for count bfloat16.
  (func (export "bfloat16ToF32") (param $in i32) (param $out i32) (param $count i32)
    (local $end i32) (local $vectorEnd i32) (local $v v128)
    (local.set $end (i32.add (local.get $in) (i32.shl (local.get $count) (i32.const 1))))
    (local.set $vectorEnd (i32.add (local.get $in) (i32.shl (i32.and (local.get $count) (i32.const -8)) (i32.const 1))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $in) (local.get $vectorEnd)))
        (local.set $v (v128.load (local.get $in)))
        (v128.store (local.get $out) (i32x4.shl (i32x4.extend_low_i16x8_u (local.get $v)) (i32.const 16)))
        (v128.store offset=16 (local.get $out) (i32x4.shl (i32x4.extend_high_i16x8_u (local.get $v)) (i32.const 16)))
        (local.set $in (i32.add (local.get $in) (i32.const 16)))
        (local.set $out (i32.add (local.get $out) (i32.const 32)))
        (br $next)))
    (block $tailDone
      (loop $tail
        (br_if $tailDone (i32.ge_u (local.get $in) (local.get $end)))
        (i32.store (local.get $out) (i32.shl (i32.load16_u (local.get $in)) (i32.const 16)))
        (local.set $in (i32.add (local.get $in) (i32.const 2)))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (br $tail))))
)
