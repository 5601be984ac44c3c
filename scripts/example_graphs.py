"""The example workflows as data: which nodes, what is connected to what, and what their notes say.

An input is a widget's value, or a link: (name of the node, name of its output). Widgets that are not named have their
defaults. `scripts/make_workflows.py` makes the files of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RUN = "Press **Run**: everything it needs is here. A drawn person, nobody's face, gets new lips for a sentence of "
RUN += "synthetic speech."
OWN_VIDEO = """## With your own video

1. Add **Load Video** and **Load Audio** (double-click on the canvas and type the name).
2. Connect their outputs in place of those of **MuseTalk Sample Portrait**: VIDEO, and AUDIO for what shall be said.
3. Delete the Sample Portrait."""
CONSENT = "Dub only people who agreed to it, and say where you show the result that it is synthetic."


@dataclass(frozen=True)
class Model:
    """A file that the front end may offer to download: name and folder as it writes them."""

    name: str
    url: str
    directory: str


@dataclass(frozen=True)
class Node:
    """A node of a graph."""

    kind: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[Model, ...] = ()
    muted: bool = False


@dataclass(frozen=True)
class Group:
    """Columns of nodes from left to right, under one heading."""

    title: str
    columns: tuple[Mapping[str, Node], ...]


@dataclass(frozen=True)
class Example:
    """A workflow: its file's name, its note in Markdown, its groups from left to right."""

    name: str
    note: str
    groups: tuple[Group, ...]

    @property
    def nodes(self) -> dict[str, Node]:
        """All nodes by name, as they are read."""
        return {name: node for group in self.groups for column in group.columns for name, node in column.items()}


def note(title: str, *paragraphs: str) -> str:
    """Title, paragraphs, and the word about consent."""
    return "\n\n".join([f"# {title}", *paragraphs, CONSENT])


def portrait(**widgets: Any) -> Node:
    """The drawn person."""
    return Node("MuseTalkSamplePortrait", widgets)


def dub(video: tuple[str, str], audio: tuple[str, str], **inputs: Any) -> Node:
    """The one node that does all."""
    return Node("MuseTalkDubVideo", {"video": video, "audio": audio, **inputs})


def save(video: tuple[str, str], name: str) -> Node:
    """Save Video into the output folder."""
    return Node("SaveVideo", {"video": video, "filename_prefix": f"video/musetalk_{name}"})


FOOTAGE = Group("Footage and sound", ({"portrait": portrait()},))
LOADERS = {
    "model": Node("MuseTalkLoadModel"),
    "vae": Node("MuseTalkLoadVAE"),
    "encoder": Node("MuseTalkLoadAudioEncoder"),
}


def lips_groups(
    images: tuple[str, str],
    audio: tuple[str, str],
    fps: tuple[str, str],
    finder: Mapping[str, Node] | None = None,
    between: Mapping[str, Node] | None = None,
    **track: Any,
) -> tuple[Group, ...]:
    """The chain of single steps: models, faces, lips, blending.

    Args:
        images, audio, fps: what is connected to it.
        finder: a column of nodes before Track Faces.
        between: nodes between Decode Faces and Blend Faces; the one named "faces" gives the faces to blend.
        track: further inputs of Track Faces.
    """
    painted = ("faces", "IMAGE") if between else ("decode", "face_images")
    return (
        Group("Models", (LOADERS,)),
        Group(
            "Faces",
            (
                *([finder] if finder else []),
                {
                    "track": Node("MuseTalkTrackFaces", {"image": images, "fps": fps, **track}),
                    "preview": Node("PreviewImage", {"images": ("track", "preview")}),
                },
                {
                    "crop": Node("MuseTalkCropFaces", {"image": images, "faces": ("track", "faces")}),
                    "mask": Node("MuseTalkMaskFaces", {"faces": ("track", "faces")}),
                    "encode": Node(
                        "MuseTalkEncodeFaces", {"face_images": ("crop", "face_images"), "vae": ("vae", "VAE")}
                    ),
                },
            ),
        ),
        Group(
            "Lips",
            (
                {
                    "speech": Node(
                        "MuseTalkEncodeAudio",
                        {"audio": audio, "audio_encoder": ("encoder", "AUDIO_ENCODER"), "fps": fps},
                    ),
                    "lips": Node(
                        "MuseTalkGenerateLips",
                        {
                            "model": ("model", "MODEL"),
                            "masked": ("encode", "masked"),
                            "reference": ("encode", "reference"),
                            "speech": ("speech", "speech"),
                        },
                    ),
                    "decode": Node("MuseTalkDecodeFaces", {"latent": ("lips", "LATENT"), "vae": ("vae", "VAE")}),
                },
                *([between] if between else []),
                {
                    "blend": Node(
                        "MuseTalkBlendFaces",
                        {
                            "image": images,
                            "face_images": painted,
                            "faces": ("track", "faces"),
                            "speech": ("speech", "speech"),
                            "mask": ("mask", "masks"),
                        },
                    )
                },
            ),
        ),
    )


def discrete(
    name: str, text: str, finder: Any = None, between: Any = None, sample: Any = None, **track: Any
) -> Example:
    """An example of the chain of single steps, from a VIDEO to a saved one."""
    parts = ("parts", "images"), ("portrait", "AUDIO"), ("parts", "fps")
    source = {
        "portrait": portrait(**(sample or {})),
        "parts": Node("GetVideoComponents", {"video": ("portrait", "VIDEO")}),
    }
    made = Node("CreateVideo", {"images": ("blend", "images"), "audio": parts[1], "fps": parts[2]})
    return Example(
        name,
        text,
        (
            Group("Footage and sound", (source,)),
            *lips_groups(*parts, finder, between, **track),
            Group("Result", ({"video": made, "save": save(("video", "VIDEO"), name)},)),
        ),
    )


def result(name: str) -> Group:
    """Save what Dub Video gives, and show its report."""
    return Group(
        "Result",
        (
            {
                "save": save(("dub", "VIDEO"), name),
                "report": Node("PreviewAny", {"source": ("dub", "report")}),
            },
        ),
    )


def dub_video() -> Example:
    """One node."""
    text = note(
        "Dub a video",
        RUN,
        "The result lies in the output folder under `video`. The report says how many frames speak, and why others do "
        "not. Length does not matter: the video is read and written in pieces.",
        OWN_VIDEO,
        "Every setting says what it does when the pointer rests on its name.",
    )
    dubbing = Group("Dub", ({"dub": dub(("portrait", "VIDEO"), ("portrait", "AUDIO"))},))
    return Example("dub_video", text, (FOOTAGE, dubbing, result("dub_video")))


def dub_video_in_steps() -> Example:
    """The same with discrete nodes."""
    text = note(
        "Dub a video, step by step",
        RUN,
        "This does what **MuseTalk Dub Video** does in one node, and leaves every step open: edit the masks, restore "
        "or upscale the faces, use another VAE. The whole clip is in memory here; for minutes of video take the one "
        "node.",
        "The same chain is offered as the sub-graph **MuseTalk Lip Sync** in the node library.",
        OWN_VIDEO,
    )
    return discrete("dub_video_in_steps", text)


def still_speaks() -> Example:
    """A picture."""
    text = note(
        "A still speaks",
        RUN,
        "One frame becomes a video of one frame; **MuseTalk Dub Video** shows it for as long as the sound lasts.",
        "## With your own picture\n\n1. Add **Load Image** and connect it to `images` of Create Video.\n"
        "2. Add **Load Audio** and connect it to `audio` of MuseTalk Dub Video.\n3. Delete the nodes of the first "
        "group.\n\nA moving head looks more alive than a still one: a short clip to and fro does, see the example "
        "`dub_video`.",
    )
    still = Node("ImageFromBatch", {"image": ("portrait", "IMAGE"), "batch_index": 0, "length": 1})
    video = Node("CreateVideo", {"images": ("still", "IMAGE"), "fps": 25.0})
    groups = (
        Group("Picture and sound", ({"portrait": portrait(), "still": still},)),
        Group("Speak", ({"video": video, "dub": dub(("video", "VIDEO"), ("portrait", "AUDIO"))},)),
        result("still_speaks"),
    )
    return Example("still_speaks", text, groups)


PAIR = {"people": 2, "width": 768, "height": 448}


def one_of_two_speaks() -> Example:
    """Two people, one dubbed."""
    text = note(
        "One of two people speaks",
        "Press **Run**: of two drawn people the right one speaks, and nothing of the other is touched.",
        "`speaker_selection` is `index` here, and `face_index` counts from the left: 0, 1, ... Other choices: "
        "`largest`, `coordinates` (a point on the face, in pixels), `all` (everybody says the same).",
        OWN_VIDEO,
    )
    chosen = dub(("portrait", "VIDEO"), ("portrait", "AUDIO"), speaker_selection="index", face_index=1)
    groups = (
        Group("Footage and sound", ({"portrait": portrait(**PAIR)},)),
        Group("Dub the right one", ({"dub": chosen},)),
        result("one_of_two_speaks"),
    )
    return Example("one_of_two_speaks", text, groups)


def two_people_two_sounds() -> Example:
    """Two passes."""
    text = note(
        "Two people, two sounds",
        "Press **Run**: the left one of two drawn people says the first half of the sentence, the right one the "
        "second half.",
        "Each person is dubbed in a pass of their own. Each sound is as long as the video and silent while the other "
        "one speaks, so that a mouth is closed in that time.",
        "## With your own video\n\n1. Connect **Load Video** in place of the Sample Portrait's VIDEO.\n2. Connect a "
        "**Load Audio** for each person to `audio` of the two passes, and both to Merge Audio.\n3. Delete the nodes of "
        "the groups *Footage* and *Two sounds*.",
        "The last group puts both sounds under the video; it holds the clip in memory. For a long video save the "
        "second pass as it is and give it a finished sound track as `audio`.",
    )
    said = ("portrait", "AUDIO")
    sounds = (
        {
            "first": Node("TrimAudioDuration", {"audio": said, "start_index": 0.0, "duration": 2.0}),
            "second": Node("TrimAudioDuration", {"audio": said, "start_index": 2.0, "duration": 2.0}),
            "silence": Node("EmptyAudio", {"duration": 2.0, "sample_rate": 16000}),
        },
        {
            "left": Node("AudioConcat", {"audio1": ("first", "AUDIO"), "audio2": ("silence", "AUDIO")}),
            "right": Node("AudioConcat", {"audio1": ("silence", "AUDIO"), "audio2": ("second", "AUDIO")}),
            "both": Node("AudioMerge", {"audio1": ("left", "AUDIO"), "audio2": ("right", "AUDIO")}),
        },
    )
    index = {"speaker_selection": "index"}
    first = dub(("portrait", "VIDEO"), ("left", "AUDIO"), face_index=0, **index)
    second = dub(("dub_left", "VIDEO"), ("right", "AUDIO"), face_index=1, **index)
    video = Node("CreateVideo", {"images": ("parts", "images"), "audio": ("both", "AUDIO"), "fps": ("parts", "fps")})
    groups = (
        Group("Footage", ({"portrait": portrait(**PAIR)},)),
        Group("Two sounds", sounds),
        Group("Pass 1: the left one", ({"dub_left": first},)),
        Group("Pass 2: the right one", ({"dub_right": second},)),
        Group(
            "Result with both sounds",
            (
                {"parts": Node("GetVideoComponents", {"video": ("dub_right", "VIDEO")}), "video": video},
                {"save": save(("video", "VIDEO"), "two_people_two_sounds")},
            ),
        ),
    )
    return Example("two_people_two_sounds", text, groups)


def generated_clip() -> Example:
    """16 frames a second."""
    text = note(
        "A generated clip gets its lips in a second pass",
        RUN,
        "Video models often make 16 frames a second, without sound. Here the Sample Portrait's frames stand for such "
        "a clip: **Create Video** says how fast they are, and **MuseTalk Dub Video** keeps to that rate, whatever it "
        "is; nothing is resampled.",
        "## After your own video model\n\n1. Connect the IMAGE of your **VAE Decode** to `images` of Create Video, and "
        "set its `fps` to that of your model.\n2. Connect **Load Audio** to `audio`.\n3. Delete the Sample Portrait.",
        "The sound may be longer than the clip: `sync_mode` `bounce` then runs the clip to and fro. With `cut_off` the "
        "result is never longer than the clip.",
    )
    frames = Group("A clip from a video model", ({"portrait": portrait(fps=16.0)},))
    video = Node("CreateVideo", {"images": ("portrait", "IMAGE"), "fps": 16.0})
    second = Group("Second pass: lips", ({"video": video, "dub": dub(("video", "VIDEO"), ("portrait", "AUDIO"))},))
    return Example("generated_clip_16_fps", text, (frames, second, result("generated_clip_16_fps")))


def upscaled_faces() -> Example:
    """Something between the new faces and the frames."""
    text = note(
        "Faces through an upscaler",
        RUN,
        "The model paints faces of 256 x 256 pixels. Whatever sharpens or restores faces may stand between **MuseTalk "
        "Decode Faces** and **MuseTalk Blend Faces**: the faces may come back at any size, only their number and "
        "order must stay.",
        "Here it is **Upscale Image** (Lanczos), because it needs no model. Better: **Upscale Image (using Model)** "
        "with **Load Upscale Model**, or a face restorer of another pack, in its place.",
        OWN_VIDEO,
    )
    larger = {
        "image": ("decode", "face_images"),
        "upscale_method": "lanczos",
        "width": 512,
        "height": 512,
        "crop": "disabled",
    }
    between = {"faces": Node("ImageScale", larger)}
    sample = {"width": 1024, "height": 1024, "seconds": 2.0}
    return discrete("faces_through_an_upscaler", text, between=between, sample=sample)


def avatar() -> Example:
    """Prepare, save, speak; load another day."""
    text = note(
        "An avatar, saved and used again",
        "Press **Run**: a clip of two seconds is prepared once, saved as an avatar and speaks a sentence of four "
        "seconds.",
        "Face, latents and masks do not depend on the sound. **MuseTalk Prepare Avatar** makes them once; **MuseTalk "
        "Speak** then only paints mouths. `embed_frames` keeps the frames in the file too.",
        "## Another day\n\nThe group *Another day* is muted. Press R after the first run, so that its menu knows the "
        "new file. Then select its nodes and press Ctrl+M, and mute the groups *Prepare once* and *Speak* in the same "
        "way: it needs only the file and a sound. `fps` of its Create Video is that of the avatar's clip.",
        OWN_VIDEO,
    )
    images, audio, fps = ("parts", "images"), ("twice", "AUDIO"), ("parts", "fps")
    parts = Node("GetVideoComponents", {"video": ("portrait", "VIDEO")})
    twice = Node("AudioConcat", {"audio1": ("portrait", "AUDIO"), "audio2": ("portrait", "AUDIO")})
    prepare = Node(
        "MuseTalkPrepareAvatar",
        {
            "image": images,
            "faces": ("track", "faces"),
            "vae": ("vae", "VAE"),
            "mask": ("mask", "masks"),
            "fps": fps,
            "embed_frames": True,
        },
    )
    name = "musetalk/avatar_00001_.safetensors [output]"
    again = {
        "load": Node("MuseTalkLoadAvatar", {"avatar": name}, muted=True),
        "again": Node("MuseTalkSpeak", {"avatar": ("load", "avatar"), "audio": audio}, muted=True),
    }
    again_out = {
        "again_video": Node("CreateVideo", {"images": ("again", "images"), "audio": audio, "fps": 25.0}, muted=True),
        "again_save": Node(
            "SaveVideo",
            {"video": ("again_video", "VIDEO"), "filename_prefix": "video/musetalk_avatar_again"},
            muted=True,
        ),
    }
    groups = (
        Group("Footage and sound", ({"portrait": portrait(seconds=2.0), "parts": parts, "twice": twice},)),
        Group(
            "Prepare once",
            (
                {
                    "vae": LOADERS["vae"],
                    "track": Node("MuseTalkTrackFaces", {"image": images, "fps": fps}),
                },
                {
                    "mask": Node("MuseTalkMaskFaces", {"faces": ("track", "faces")}),
                    "prepare": prepare,
                    "keep": Node("MuseTalkSaveAvatar", {"avatar": ("prepare", "avatar")}),
                },
            ),
        ),
        Group(
            "Speak",
            (
                {"speak": Node("MuseTalkSpeak", {"avatar": ("keep", "avatar"), "audio": audio})},
                {
                    "video": Node("CreateVideo", {"images": ("speak", "images"), "audio": audio, "fps": fps}),
                    "save": save(("video", "VIDEO"), "avatar"),
                },
            ),
        ),
        Group("Another day", (again, again_out)),
    )
    return Example("avatar_saved_and_used_again", text, groups)


MEDIAPIPE = Model(
    "mediapipe_face_fp32.safetensors",
    "https://huggingface.co/Comfy-Org/mediapipe/resolve/main/detection/mediapipe_face_fp32.safetensors",
    "detection",
)


def native_landmarks() -> Example:
    """ComfyUI's own face landmarks."""
    text = note(
        "With ComfyUI's own face landmarks",
        f"Needs one file: [{MEDIAPIPE.name}]({MEDIAPIPE.url}) in `models/{MEDIAPIPE.directory}`. Then press **Run**.",
        "**Detect Face Landmarks (MediaPipe)** finds the faces in place of MuseTalk's own tracker; **MuseTalk Track "
        "Faces** makes one steady person of what it finds. Use it when you have its landmarks anyway, or want to "
        "change its threshold.",
        OWN_VIDEO,
    )
    finder = {
        "detector": Node("LoadMediaPipeFaceLandmarker", {"model_name": MEDIAPIPE.name}, (MEDIAPIPE,)),
        "landmarks": Node(
            "MediaPipeFaceLandmarker",
            {"face_detection_model": ("detector", "FACE_DETECTION_MODEL"), "image": ("parts", "images")},
        ),
    }
    return discrete("native_face_landmarks", text, finder, face_landmarks=("landmarks", "face_landmarks"))


HUB = "https://huggingface.co"
UNET = Model("musetalkV15/unet.pth", f"{HUB}/TMElyralab/MuseTalk/resolve/main/musetalkV15/unet.pth", "musetalk")
VAE = Model(
    "sd-vae/diffusion_pytorch_model.safetensors",
    f"{HUB}/stabilityai/sd-vae-ft-mse/resolve/main/diffusion_pytorch_model.safetensors",
    "musetalk",
)
WHISPER = Model("whisper/model.safetensors", f"{HUB}/openai/whisper-tiny/resolve/main/model.safetensors", "musetalk")


def released_model() -> Example:
    """MuseTalk 1.5."""
    lines = [f"- `models/{each.directory}/{each.name}` from {each.url}" for each in (UNET, VAE, WHISPER)]
    text = note(
        "Dub a video with MuseTalk 1.5",
        "The released model paints the best mouths. It needs three files, which do not come with this pack:\n\n"
        + "\n".join(lines),
        "Files of older MuseTalk packs are found where they are. Without them **Run** says which one is missing.",
        OWN_VIDEO,
    )
    loaders = {
        "model": Node("MuseTalkLoadModel", {"model": "1.5"}, (UNET,)),
        "vae": Node("MuseTalkLoadVAE", {"vae": "sd-vae-ft-mse"}, (VAE,)),
        "encoder": Node("MuseTalkLoadAudioEncoder", {"audio_encoder": "whisper-tiny"}, (WHISPER,)),
    }
    sockets = {"model": ("model", "MODEL"), "vae": ("vae", "VAE"), "audio_encoder": ("encoder", "AUDIO_ENCODER")}
    groups = (
        FOOTAGE,
        Group("MuseTalk 1.5", (loaders,)),
        Group("Dub", ({"dub": dub(("portrait", "VIDEO"), ("portrait", "AUDIO"), model_name="1.5", **sockets)},)),
        result("dub_video_musetalk_1_5"),
    )
    return Example("dub_video_musetalk_1_5", text, groups)


EXAMPLES = (
    dub_video(),
    dub_video_in_steps(),
    still_speaks(),
    one_of_two_speaks(),
    two_people_two_sounds(),
    generated_clip(),
    upscaled_faces(),
    avatar(),
    native_landmarks(),
    released_model(),
)
