// The art map: thousands of paintings on the graphics card, and a few dreams with their ways above them.

const words = JSON.parse(document.body.dataset.words);
const find = (selector, within = document) => within.querySelector(selector);
const SVG = "http://www.w3.org/2000/svg";

// Milliseconds between two looks for a map that is not there yet.
const AGAIN = 5_000;
// Pixels of the pictures on the map.
const THUMB = 56;
const NEWEST = 76;
const PLACED = 12;
const STEP = 1.5;

// As far from each other as many colours can be: hues by the golden angle, in turns lighter and darker.
const colour = (index) => `hsl(${Math.round((index * 137.508) % 360)}, ${[62, 48, 78][index % 3]}%, ${[64, 76, 56][index % 3]}%)`;

class ArtMap {
  constructor() {
    this.chart = find(".chart");
    this.ways = find(".ways");
    this.wanted = new URLSearchParams(location.search).get("job");
    find("h1").textContent = words.map;
    find(".guest").textContent = words.map_empty;
    find(".operator").textContent = words.map_operator;
    find("summary").textContent = words.map_artists;
    const tools = { nearer: 1 / STEP, farther: STEP };
    for (const [name, by] of Object.entries(tools)) {
      const button = find(`.${name}`);
      button.ariaLabel = words[`map_${name}`];
      button.addEventListener("click", () => this.zoom(by));
    }
    find(".whole").ariaLabel = words.map_whole;
    find(".whole").addEventListener("click", () => this.whole());
    this.begin();
  }

  async begin() {
    const answer = await fetch("/map/paintings").catch(() => null);
    if (!answer?.ok) {
      const { fault } = answer?.status === 404 ? await answer.json() : {};
      document.body.dataset.scene = "empty";
      find(".empty").hidden = false;
      find(".tools").hidden = true;
      find(".guest").textContent = answer?.status === 404 ? words.map_empty : words.reconnecting;
      find(".operator").textContent = answer?.status === 404 ? fault || words.map_operator : "";
      setTimeout(() => this.begin(), AGAIN);
      return;
    }
    find(".empty").hidden = true;
    find(".tools").hidden = false;
    find(".legend").hidden = false;
    find(".legend").open = innerWidth >= 800;
    await this.draw(await answer.json());
    this.follow();
  }

  async draw(map) {
    this.map = map;
    this.dreams = map.dreams;
    this.bounds = { x: edges(map.x), y: edges(map.y) };
    find(".count").textContent = words.map_count
      .replace("{count}", map.x.length.toLocaleString(words.language))
      .replace("{artists}", map.artists.length);
    const traces = map.artists.map((name, index) => ({
      type: "scattergl",
      mode: "markers",
      name,
      x: [],
      y: [],
      customdata: [],
      hoverinfo: "none",
      marker: { color: colour(index), size: 5, opacity: 0.75 },
    }));
    map.artist.forEach((artist, number) => {
      traces[artist].x.push(map.x[number]);
      traces[artist].y.push(map.y[number]);
      traces[artist].customdata.push(number);
    });
    const axis = { visible: false, fixedrange: false };
    const layout = {
      xaxis: { ...axis, range: [...this.bounds.x] },
      yaxis: { ...axis, range: [...this.bounds.y], scaleanchor: "x" },
      dragmode: "pan",
      hovermode: "closest",
      margin: { l: 0, r: innerWidth >= 800 ? find(".legend").offsetWidth : 0, t: 0, b: 0 },
      paper_bgcolor: "rgba(0, 0, 0, 0)",
      plot_bgcolor: "rgba(0, 0, 0, 0)",
      showlegend: false,
    };
    await Plotly.newPlot(this.chart, traces, layout, { scrollZoom: true, displayModeBar: false, responsive: true, doubleClick: "reset" });
    this.chart.on("plotly_hover", ({ points: [point], event }) => this.tell(point, event));
    this.chart.on("plotly_unhover", () => (find(".card").hidden = true));
    for (const moved of ["plotly_relayouting", "plotly_relayout", "plotly_afterplot"]) this.chart.on(moved, () => this.place());
    this.list();
    this.place();
    document.body.dataset.scene = "map";
  }

  list() {
    const items = this.map.artists.map((name, index) => {
      const button = document.createElement("button");
      const dot = document.createElement("i");
      dot.style.background = colour(index);
      button.append(dot, name);
      button.ariaPressed = "false";
      button.addEventListener("click", () => this.isolate(this.chosen === index ? undefined : index));
      const item = document.createElement("li");
      item.append(button);
      return item;
    });
    find(".legend ul").replaceChildren(...items);
  }

  // One artist in full colour above the shadow of all others; undefined brings all of them back.
  isolate(chosen) {
    this.chosen = chosen;
    const legend = find(".legend");
    legend.toggleAttribute("data-chosen", chosen !== undefined);
    legend.querySelectorAll("button").forEach((button, index) => (button.ariaPressed = String(index === chosen)));
    const opacity = this.map.artists.map((_, index) => (chosen === undefined ? 0.75 : index === chosen ? 1 : 0.06));
    Plotly.restyle(this.chart, { "marker.opacity": opacity });
  }

  tell({ customdata: number }, { clientX, clientY }) {
    const card = find(".card");
    const name = this.map.picture[number];
    const image = find("img", card);
    image.hidden = !name;
    if (name) image.src = `/map/${name.split("/").map(encodeURIComponent).join("/")}`;
    image.alt = words.map_painting.replace("{artist}", this.map.artists[this.map.artist[number]]);
    find("p", card).textContent = this.map.artists[this.map.artist[number]];
    card.hidden = false;
    const move = () => {
      const { width, height } = card.getBoundingClientRect();
      card.style.left = `${Math.min(clientX + 16, innerWidth - width - 8)}px`;
      card.style.top = `${Math.min(Math.max(8, clientY - height / 2), innerHeight - height - 8)}px`;
    };
    image.onload = move;
    move();
  }

  // Put photos, dreams and the ways between them where they belong now.
  place() {
    const { xaxis, yaxis } = this.chart._fullLayout;
    const at = ([x, y]) => [xaxis.l2p(x) + xaxis._offset, yaxis.l2p(y) + yaxis._offset];
    const known = new Map([...this.ways.children].map((way) => [way.dataset.jobId, way]));
    const shown = [...this.dreams].reverse(); // the newest lies on top
    const chosen = this.dreams.some((dream) => dream.job_id === this.wanted) ? this.wanted : this.dreams[0]?.job_id;
    const ways = shown.map((dream) => known.get(dream.job_id) ?? this.way(dream));
    if (ways.some((way, index) => this.ways.children[index] !== way) || ways.length !== this.ways.children.length) {
      this.ways.replaceChildren(...ways);
    }
    shown.forEach((dream, index) => {
      const way = ways[index];
      const newest = dream.job_id === chosen;
      way.classList.toggle("newest", newest);
      if (newest) this.ways.append(way);
      const [from, to] = [at(dream.place.photo), at(dream.place.dream)];
      const line = find("line", way);
      for (const [name, value] of Object.entries({ x1: from[0], y1: from[1], x2: to[0], y2: to[1] })) line.setAttribute(name, value);
      const size = newest ? NEWEST : THUMB;
      this.hang(way.children[1], from, 0.7 * size);
      this.hang(way.children[2], to, size);
    });
  }

  way(dream) {
    const way = document.createElementNS(SVG, "g");
    way.dataset.jobId = dream.job_id;
    way.append(document.createElementNS(SVG, "line"));
    for (const [name, alt] of [[dream.photo, words.alt_photo], [dream.thumb, words.alt_dream.replace("{title}", dream.title)]]) {
      const group = document.createElementNS(SVG, "g");
      const image = document.createElementNS(SVG, "image");
      image.setAttribute("href", `/pictures/${name}`);
      image.setAttribute("preserveAspectRatio", "xMidYMid slice");
      image.setAttribute("role", "img");
      image.setAttribute("aria-label", alt);
      group.append(image, document.createElementNS(SVG, "rect"));
      way.append(group);
    }
    return way;
  }

  hang(group, [x, y], size) {
    for (const element of group.children) {
      element.setAttribute("x", x - size / 2);
      element.setAttribute("y", y - size / 2);
      element.setAttribute("width", size);
      element.setAttribute("height", size);
    }
  }

  zoom(by) {
    const { xaxis, yaxis } = this.chart._fullLayout;
    const around = ({ range: [low, high] }) => [(low + high) / 2 - (by * (high - low)) / 2, (low + high) / 2 + (by * (high - low)) / 2];
    Plotly.relayout(this.chart, { "xaxis.range": around(xaxis), "yaxis.range": around(yaxis) });
  }

  whole() {
    Plotly.relayout(this.chart, { "xaxis.range": [...this.bounds.x], "yaxis.range": [...this.bounds.y] });
  }

  follow() {
    if (this.source) return;
    this.source = new EventSource("/feed");
    this.source.addEventListener("dream", (message) => {
      const dream = JSON.parse(message.data);
      if (dream.place?.network !== this.map.network) return;
      this.dreams = [dream, ...this.dreams.filter((other) => other.job_id !== dream.job_id)].slice(0, PLACED);
      this.place();
    });
    this.source.addEventListener("gone", (message) => {
      const { job_id } = JSON.parse(message.data);
      this.dreams = this.dreams.filter((dream) => dream.job_id !== job_id);
      this.place();
    });
  }
}

// The least and the greatest of many numbers, with a little air around them.
function edges(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const air = 0.06 * (high - low || 1);
  return [low - air, high + air];
}

addEventListener("DOMContentLoaded", () => new ArtMap());
