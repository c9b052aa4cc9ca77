// The frame on the preview: what may leave the room. Dragged by its middle and its corner, or moved by three sliders,
// which keyboards and screen readers know. It keeps the picture's shape: left, top and size in shares say it all.

const SMALLEST = 0.1;

/** @param {number} value @param {number} least @param {number} most */
const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

export class CropFrame {
  /**
   * @param {HTMLElement} stage what the frame lies on
   * @param {HTMLElement} frame
   * @param {{left: HTMLInputElement, top: HTMLInputElement, size: HTMLInputElement}} sliders
   * @param {() => void} onChange
   */
  constructor(stage, frame, sliders, onChange) {
    this.stage = stage;
    this.frame = frame;
    this.sliders = sliders;
    this.onChange = onChange;
    this.left = 0;
    this.top = 0;
    this.size = 1;
    frame.addEventListener("pointerdown", (event) => this.grab(event));
    for (const slider of Object.values(sliders)) slider.addEventListener("input", () => this.slid());
    this.show();
  }

  /** As the kit takes it. @returns {[number, number, number, number]} */
  get crop() {
    return [this.left, this.top, this.size, this.size];
  }

  /** @param {number[]} crop */
  set(crop) {
    this.place(crop[0] ?? 0, crop[1] ?? 0, Math.min(crop[2] ?? 1, crop[3] ?? 1));
  }

  /** @param {number} left @param {number} top @param {number} size */
  place(left, top, size) {
    this.size = clamp(size, SMALLEST, 1);
    this.left = clamp(left, 0, 1 - this.size);
    this.top = clamp(top, 0, 1 - this.size);
    this.show();
  }

  show() {
    const percent = (/** @type {number} */ share) => `${share * 100}%`;
    Object.assign(this.frame.style, {
      left: percent(this.left),
      top: percent(this.top),
      width: percent(this.size),
      height: percent(this.size),
    });
    this.sliders.left.value = String(this.left * 100);
    this.sliders.top.value = String(this.top * 100);
    this.sliders.size.value = String(this.size * 100);
  }

  slid() {
    const share = (/** @type {HTMLInputElement} */ slider) => Number(slider.value) / 100;
    this.place(share(this.sliders.left), share(this.sliders.top), share(this.sliders.size));
    this.onChange();
  }

  /** @param {PointerEvent} event */
  grab(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.frame.setPointerCapture(event.pointerId);
    const box = this.stage.getBoundingClientRect();
    const resizes = event.target !== this.frame;
    const from = { x: event.clientX, y: event.clientY, left: this.left, top: this.top, size: this.size };
    const move = (/** @type {PointerEvent} */ now) => {
      const across = (now.clientX - from.x) / box.width;
      const down = (now.clientY - from.y) / box.height;
      if (resizes) {
        const room = 1 - Math.max(from.left, from.top);
        this.place(from.left, from.top, Math.min(from.size + Math.max(across, down), room));
      } else {
        this.place(from.left + across, from.top + down, from.size);
      }
      this.onChange();
    };
    const drop = () => {
      this.frame.removeEventListener("pointermove", move);
      for (const end of ["pointerup", "pointercancel"]) this.frame.removeEventListener(end, drop);
    };
    this.frame.addEventListener("pointermove", move);
    for (const end of ["pointerup", "pointercancel"]) this.frame.addEventListener(end, drop);
  }
}
