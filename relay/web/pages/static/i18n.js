/** Every word that the page says, in Russian and in English. Pure; `page.js` chooses the language and puts them in place. */

/** @typedef {"ru" | "en"} Language */

/** @typedef {keyof typeof RU} Key */

const RU = {
  "connecting.title": "Заходим в класс…",
  "connecting.detail": "Это займёт пару секунд.",
  "waiting.title": "Урок ещё не начался",
  "waiting.detail": "Ничего нажимать не нужно: урок откроется здесь сам.",
  "starting.title": "Урок начинается!",
  "starting.detail": "Сейчас появится доска.",
  "arriving.title": "Урок идёт",
  "arriving.detail": "Картинка уже в пути.",
  "live.title": "Урок идёт",
  "live.detail": "Картинка и звук прямо из класса.",
  "voice.title": "Урок идёт: слышен голос",
  "voice.detail": "Картинки с камеры пока нет, она появится здесь сама.",
  "catching_up.title": "Картинка догоняет",
  "catching_up.detail": "Связь слабая. Всё восстановится само.",
  "reconnecting.title": "Связь с классом прервалась",
  "reconnecting.detail": "Урок продолжится здесь, как только она вернётся. Обновлять страницу не нужно.",
  "curtain.title": "Учитель закрыл шторку",
  "curtain.detail": "Камера и микрофон в классе выключены. Урок скоро продолжится здесь.",
  "over.title": "Урок окончен",
  "over.detail": "До встречи! Следующий урок откроется на этой же странице.",
  "offline.title": "Нет связи с сервером",
  "offline.detail": "Возможно, пропал интернет. Когда он вернётся, всё продолжится само.",
  "gone.title": "Эта ссылка больше не работает",
  "gone.detail": "Попросите у учителя новую ссылку на класс.",
  "blocked.title": "Эта сеть не пропускает видео",
  "blocked.detail": "Попробуйте другой Wi-Fi или мобильный интернет. Мы тоже продолжаем пробовать.",
  "slow.title": "Медленная сеть: доска раз в две секунды",
  "slow.detail": "Голос идёт без перерыва. Видео вернётся само, когда сеть станет быстрее.",
  "slow_chosen.title": "Урок идёт: доска раз в две секунды",
  "slow_chosen.detail": "Так выбрано под картинкой. Голос идёт без перерыва.",
  "spared.title": "Медленная сеть: только голос",
  "spared.detail": "Доска появится сама, когда сеть станет быстрее.",
  "spared_chosen.title": "Урок идёт: только голос",
  "spared_chosen.detail": "Так выбрано под картинкой.",
  "delayed.title": "Урок идёт с задержкой в несколько секунд",
  "delayed.detail": "Эта сеть не пропускает прямое видео. Прямой эфир включится сам, как только получится.",
  "recorded.title": "Запись урока",
  "recorded.detail": "Открываем её…",
  "unplayable.title": "Этот браузер не может показать запись",
  "unplayable.detail": "Обновите браузер или откройте эту страницу в другом. Возможно, пропал интернет: тогда попробуйте ещё раз.",
  "tag.live": "Прямой эфир",
  "sound.turn_on": "Включить звук",
  "sound.in_advance": "Включить звук заранее",
  "sound.is_on": "Звук включён: вы услышите урок, когда он начнётся",
  "sound.mute": "Выключить звук",
  "sound.volume": "Громкость",
  "sound.silent": "Микрофон в классе молчит. Дело не в вашем устройстве: учитель видит это на панели.",
  "sound.clipping": "Звук из класса хрипит: микрофон перегружен. Дело не в вашем устройстве, учитель видит это на панели.",
  "sound.lost": "Микрофон в классе отключился. Картинка идёт, звук вернётся сам.",
  "screen.full": "Во весь экран",
  "screen.normal": "Выйти из полного экрана",
  "lesson.since": "Идёт с {time}",
  "lesson.ended": "Закончился в {time}",
  "lesson.watching": "Смотрят: {count}",
  "stills.title": "Снимки доски",
  "stills.item": "Доска в {time}",
  "stills.open": "Открыть в новой вкладке",
  "stills.close": "Закрыть",
  "stills.earlier": "Предыдущий снимок",
  "stills.later": "Следующий снимок",
  "picture.label": "Картинка:",
  "picture.auto": "сколько выдержит сеть",
  "picture.full": "всегда видео",
  "picture.slow": "доска раз в две секунды",
  "picture.voice": "только голос",
  "tag.delayed": "Эфир с задержкой",
  "tag.replay": "Запись",
  "tag.behind": "Запись, −{time}",
  "line.label": "Время урока",
  "line.value": "{time}, всего {whole}",
  "line.value_in_gap": "{time}, здесь пропуск, всего {whole}",
  "replay.back": "Назад на 10 секунд",
  "replay.play": "Смотреть дальше",
  "replay.pause": "Пауза",
  "replay.speed": "Скорость",
  "replay.to_live": "В эфир",
  "replay.to_live_name": "В эфир: смотреть, что в классе сейчас",
  "replay.leave": "Закрыть",
  "replay.leave_name": "Закрыть запись",
  "remark.meanwhile": "Сейчас в классе: {state}.",
  "remark.gaps": "В записи пропуск: {length}. Если класс дошлёт эту часть, она появится здесь сама.",
  "offer.text": "Урок идёт уже {minutes} мин.",
  "offer.begin": "С начала",
  "offer.resume": "С {time}",
  "offer.now": "Сейчас",
  "replays.title": "Записи уроков",
  "replays.link": "Записи уроков",
  "replays.playing": "Сейчас на экране",
  "replays.resume": "Остановились на {time}",
  "replays.arriving": "Запись ещё дополняется",
  "replays.gaps": "Пропуск: {length}",
  "replays.download": "Скачать урок: {day}",
  "keys.label": "Клавиши:",
  "keys.sound": "звук",
  "keys.screen": "во весь экран",
  "page.to_lesson": "К уроку",
  "page.stage": "Урок",
};

/** @type {Record<Key, string>} */
const EN = {
  "connecting.title": "Coming into class…",
  "connecting.detail": "This takes a couple of seconds.",
  "waiting.title": "The lesson hasn’t started yet",
  "waiting.detail": "Nothing to press: the lesson will open here by itself.",
  "starting.title": "The lesson is starting!",
  "starting.detail": "The board is about to appear.",
  "arriving.title": "The lesson is on",
  "arriving.detail": "The picture is on its way.",
  "live.title": "The lesson is on",
  "live.detail": "Picture and sound straight from the classroom.",
  "voice.title": "The lesson is on: voice only",
  "voice.detail": "There is no picture from the camera yet. It will appear here by itself.",
  "catching_up.title": "The picture is catching up",
  "catching_up.detail": "The connection is weak. It will recover by itself.",
  "reconnecting.title": "The classroom’s connection dropped",
  "reconnecting.detail": "The lesson goes on here as soon as it is back. No need to reload.",
  "curtain.title": "The teacher closed the curtain",
  "curtain.detail": "The classroom’s camera and microphone are off. The lesson will go on here soon.",
  "over.title": "The lesson is over",
  "over.detail": "See you! The next lesson will open on this same page.",
  "offline.title": "Can’t reach the server",
  "offline.detail": "The internet may be down. When it is back, everything goes on by itself.",
  "gone.title": "This link no longer works",
  "gone.detail": "Ask your teacher for the new class link.",
  "blocked.title": "This network doesn’t let video through",
  "blocked.detail": "Try another Wi-Fi or mobile data. We keep trying as well.",
  "slow.title": "Slow network: the board every two seconds",
  "slow.detail": "The voice goes on without a break. Video returns by itself when the network gets faster.",
  "slow_chosen.title": "The lesson is on: the board every two seconds",
  "slow_chosen.detail": "As chosen below the picture. The voice goes on without a break.",
  "spared.title": "Slow network: voice only",
  "spared.detail": "The board appears by itself when the network gets faster.",
  "spared_chosen.title": "The lesson is on: voice only",
  "spared_chosen.detail": "As chosen below the picture.",
  "delayed.title": "The lesson is on, a few seconds late",
  "delayed.detail": "This network lets no direct video through. The direct picture comes by itself as soon as it can.",
  "recorded.title": "Recording of the lesson",
  "recorded.detail": "Opening it…",
  "unplayable.title": "This browser can’t play the recording",
  "unplayable.detail": "Update the browser, or open this page in another one. If the internet is down, try again when it is back.",
  "tag.live": "Live",
  "sound.turn_on": "Turn on the sound",
  "sound.in_advance": "Turn the sound on in advance",
  "sound.is_on": "The sound is on: you will hear the lesson when it starts",
  "sound.mute": "Mute",
  "sound.volume": "Volume",
  "sound.silent": "The microphone in class is silent. It is not your device: the teacher’s panel says so, too.",
  "sound.clipping": "The sound from class rattles: its microphone is overdriven. It is not your device, and the teacher’s panel says so.",
  "sound.lost": "The microphone in class has gone. The picture goes on, and the sound will return by itself.",
  "screen.full": "Full screen",
  "screen.normal": "Leave full screen",
  "lesson.since": "On since {time}",
  "lesson.ended": "Ended at {time}",
  "lesson.watching": "Watching: {count}",
  "stills.title": "Board pictures",
  "stills.item": "The board at {time}",
  "stills.open": "Open in a new tab",
  "stills.close": "Close",
  "stills.earlier": "Previous picture",
  "stills.later": "Next picture",
  "picture.label": "Picture:",
  "picture.auto": "as the network allows",
  "picture.full": "always video",
  "picture.slow": "the board every two seconds",
  "picture.voice": "voice only",
  "tag.delayed": "Live, a little late",
  "tag.replay": "Recording",
  "tag.behind": "Recording, −{time}",
  "line.label": "Time in the lesson",
  "line.value": "{time} of {whole}",
  "line.value_in_gap": "{time} of {whole}, missing here",
  "replay.back": "Back 10 seconds",
  "replay.play": "Play",
  "replay.pause": "Pause",
  "replay.speed": "Speed",
  "replay.to_live": "To live",
  "replay.to_live_name": "To live: watch what happens in class now",
  "replay.leave": "Close",
  "replay.leave_name": "Close the recording",
  "remark.meanwhile": "In class now: {state}.",
  "remark.gaps": "The recording lacks {length}. If the class sends that part later, it appears here by itself.",
  "offer.text": "The lesson began {minutes} min ago.",
  "offer.begin": "From the beginning",
  "offer.resume": "From {time}",
  "offer.now": "Now",
  "replays.title": "Recorded lessons",
  "replays.link": "Recorded lessons",
  "replays.playing": "On screen now",
  "replays.resume": "Stopped at {time}",
  "replays.arriving": "The recording is still being completed",
  "replays.gaps": "Missing: {length}",
  "replays.download": "Download the lesson: {day}",
  "keys.label": "Keys:",
  "keys.sound": "sound",
  "keys.screen": "full screen",
  "page.to_lesson": "Go to the lesson",
  "page.stage": "Lesson",
};

/** @type {Readonly<Record<Language, Readonly<Record<Key, string>>>>} */
export const WORDS = { ru: RU, en: EN };

/** Times are wall-clock times of where the pupil is, in 24 hours in both languages: that is what a timetable shows. */
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

/**
 * @param {Language} language
 * @param {Key} key
 * @param {Record<string, string | number>} [values] what stands for {name} in the text
 */
export function say(language, key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/gu, (_, name) => String(values[name]));
}

/**
 * @param {Language} language
 * @param {number} unix_ms
 */
export function clock(language, unix_ms) {
  return new Intl.DateTimeFormat(language, /** @type {Intl.DateTimeFormatOptions} */ (CLOCK)).format(unix_ms);
}

/**
 * A day of the timetable: "понедельник, 30 ноября".
 * @param {Language} language
 * @param {number} unix_ms
 */
export function day(language, unix_ms) {
  return new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long" }).format(unix_ms);
}

/**
 * A time as it is spoken: "12 минут 5 секунд".
 * @param {Language} language
 * @param {number} time_s
 */
export function spokenTime(language, time_s) {
  const whole = Math.max(0, Math.floor(time_s));
  const units = /** @type {const} */ ([["hour", Math.floor(whole / 3600)], ["minute", Math.floor(whole / 60) % 60], ["second", whole % 60]]);
  const said = units.filter(([unit, count]) => count > 0 || (unit === "second" && whole === 0));
  return said.map(([unit, count]) => measure(language, unit, count, "long")).join(" ");
}

/**
 * How long something is, no more exactly than one cares: "45 мин", under two minutes "50 с".
 * @param {Language} language
 * @param {number} length_s
 */
export function spokenLength(language, length_s) {
  if (length_s < 120) return measure(language, "second", Math.max(1, Math.round(length_s)), "short");
  return measure(language, "minute", Math.round(length_s / 60), "short");
}

/**
 * @param {Language} language
 * @param {"hour" | "minute" | "second"} unit
 * @param {number} count
 * @param {"long" | "short"} unitDisplay
 */
function measure(language, unit, count, unitDisplay) {
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay }).format(count);
}

/**
 * The pupil's own choice, else what the server read from the browser's languages.
 * @param {string | null | undefined} chosen
 * @param {string} served
 * @returns {Language}
 */
export function pickLanguage(chosen, served) {
  for (const language of [chosen, served]) {
    if (language === "ru" || language === "en") return language;
  }
  return "ru";
}

/**
 * @param {Language} language
 * @returns {Language}
 */
export function otherLanguage(language) {
  return language === "ru" ? "en" : "ru";
}
