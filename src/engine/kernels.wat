;; The optimizer's arithmetic over one linear memory: AdamW, the tree's addition and the squared norm.
;; Pointers are byte offsets, multiples of 16; counts are floats, multiples of 4. Every lane operation is one correctly
;; rounded float32 operation, so kernels.test.ts can hold the result against plain JavaScript bit by bit.
(module
  (import "env" "memory" (memory 1 65536))

  ;; g' = g*scale; m = beta1*m + (1-beta1)*g'; v = beta2*v + ((1-beta2)*g')*g';
  ;; p = p*keep - rate*((m*correction1) / (sqrt(v*correction2) + epsilon)), keep = 1 - rate*weightDecay.
  (func (export "adamw")
    (param $p i32) (param $m i32) (param $v i32) (param $g i32) (param $count i32)
    (param $scale f32) (param $rate f32) (param $keep f32)
    (param $beta1 f32) (param $rest1 f32) (param $beta2 f32) (param $rest2 f32)
    (param $correction1 f32) (param $correction2 f32) (param $epsilon f32)
    (local $end i32) (local $gs v128) (local $ms v128) (local $vs v128)
    (local.set $end (i32.add (local.get $p) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $p) (local.get $end)))
        (local.set $gs (f32x4.mul (v128.load (local.get $g)) (f32x4.splat (local.get $scale))))
        (local.set $ms (f32x4.add
          (f32x4.mul (v128.load (local.get $m)) (f32x4.splat (local.get $beta1)))
          (f32x4.mul (local.get $gs) (f32x4.splat (local.get $rest1)))))
        (local.set $vs (f32x4.add
          (f32x4.mul (v128.load (local.get $v)) (f32x4.splat (local.get $beta2)))
          (f32x4.mul (f32x4.mul (local.get $gs) (f32x4.splat (local.get $rest2))) (local.get $gs))))
        (v128.store (local.get $m) (local.get $ms))
        (v128.store (local.get $v) (local.get $vs))
        (v128.store (local.get $p) (f32x4.sub
          (f32x4.mul (v128.load (local.get $p)) (f32x4.splat (local.get $keep)))
          (f32x4.mul
            (f32x4.splat (local.get $rate))
            (f32x4.div
              (f32x4.mul (local.get $ms) (f32x4.splat (local.get $correction1)))
              (f32x4.add
                (f32x4.sqrt (f32x4.mul (local.get $vs) (f32x4.splat (local.get $correction2))))
                (f32x4.splat (local.get $epsilon)))))))
        (local.set $p (i32.add (local.get $p) (i32.const 16)))
        (local.set $m (i32.add (local.get $m) (i32.const 16)))
        (local.set $v (i32.add (local.get $v) (i32.const 16)))
        (local.set $g (i32.add (local.get $g) (i32.const 16)))
        (br $next))))

  ;; into += from, one float32 addition per element: one inner node of the reduction tree.
  (func (export "add") (param $into i32) (param $from i32) (param $count i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $into) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $into) (local.get $end)))
        (v128.store (local.get $into)
          (f32x4.add (v128.load (local.get $into)) (v128.load (local.get $from))))
        (local.set $into (i32.add (local.get $into) (i32.const 16)))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (br $next))))

  ;; Sum of squares in float64: element i goes to accumulator i mod 4; the result is (a0+a1)+(a2+a3).
  ;; NaN or Inf if and only if an element is: the square of no finite float32 overflows a float64 sum.
  (func (export "squaredNorm") (param $from i32) (param $count i32) (result f64)
    (local $end i32) (local $four v128) (local $low v128) (local $high v128) (local $a v128) (local $b v128)
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $four (v128.load (local.get $from)))
        (local.set $a (f64x2.promote_low_f32x4 (local.get $four)))
        (local.set $b (f64x2.promote_low_f32x4
          (i8x16.shuffle 8 9 10 11 12 13 14 15 8 9 10 11 12 13 14 15 (local.get $four) (local.get $four))))
        (local.set $low (f64x2.add (local.get $low) (f64x2.mul (local.get $a) (local.get $a))))
        (local.set $high (f64x2.add (local.get $high) (f64x2.mul (local.get $b) (local.get $b))))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (br $next)))
    (f64.add
      (f64.add (f64x2.extract_lane 0 (local.get $low)) (f64x2.extract_lane 1 (local.get $low)))
      (f64.add (f64x2.extract_lane 0 (local.get $high)) (f64x2.extract_lane 1 (local.get $high))))))
